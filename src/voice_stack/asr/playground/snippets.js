// What was just done, as code.

import { apiUrl, curlKey, python, pythonClient, shell, showSnippets } from "./common.js";

/** The call that transcribes a file, or translates it. */
export function showFileSnippets(element, name, { language, task, model }) {
  const translating = task === "translate";
  const endpoint = translating ? "audio/translations" : "audio/transcriptions";
  const spoken = translating ? "" : language;
  // curl takes these characters for its own in the name of a file.
  const path = /[;,"\\]/.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}"` : name;
  const form = [
    `file=@${path}`,
    `model=${model}`,
    ...(spoken ? [`language=${spoken}`] : []),
    "response_format=verbose_json",
    ...(translating ? [] : ["timestamp_granularities[]=word", "timestamp_granularities[]=segment"]),
  ];
  const curl = [`curl ${shell(apiUrl(endpoint).href)}`, ...curlKey(), ...form.map((field) => `-F ${shell(field)}`)];
  const parameters = [
    `model=${python(model)}`,
    "file=file",
    ...(spoken ? [`language=${python(spoken)}`] : []),
    'response_format="verbose_json"',
    ...(translating ? [] : ['timestamp_granularities=["word", "segment"]']),
  ];
  const call = translating ? "translations" : "transcriptions";
  const lines = parameters.map((parameter) => `        ${parameter},\n`).join("");
  const program = `${pythonClient()}
with open(${python(name)}, "rb") as file:
    result = client.audio.${call}.create(
${lines}    )

print(result.text)
for part in result.${translating ? "segments" : "words"}:
    print(f"{part.start:8.2f} s  {part.${translating ? "text" : "word"}}")
`;
  showSnippets(element, { curl: `${curl.join(" \\\n  ")}\n`, Python: program });
}

/** Live captions: WebSockets are none of curl's. */
export function showCaptionSnippets(element, { language, model }) {
  const spoken = language ? `, "language": ${python(language)}` : "";
  const program = `${pythonClient({ kind: "AsyncOpenAI", imports: ["asyncio", "base64", "sys"] })}
SESSION = {
    "type": "transcription",
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": ${python(model)}${spoken}},
            "turn_detection": {"type": "server_vad"},
        }
    },
}


async def send(connection):
    while pcm := await asyncio.to_thread(sys.stdin.buffer.read, 4800):  # 0.1 s
        await connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())


async def main():
    async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        await connection.session.update(session=SESSION)
        sending = asyncio.create_task(send(connection))
        async for event in connection:
            if event.type == "conversation.item.input_audio_transcription.delta":
                print(event.delta, end="", flush=True)
            elif event.type == "conversation.item.input_audio_transcription.completed":
                print()
            elif event.type == "error":
                print(event.error.message)


asyncio.run(main())
`;
  const command = "arecord -q -t raw -f S16_LE -r 24000 -c 1 | python captions.py\n";
  showSnippets(element, { Shell: command, "captions.py": program });
}
