// The code that makes the same speech.

import { apiUrl, curlKey, python, pythonClient, shell, showSnippets } from "./common.js";

/** Show in an element how a request of /audio/speech is sent. */
export function showCode(element, request) {
  const { speed, language, ...always } = request;
  const file = `speech.${request.response_format}`;
  const curl = [
    `curl ${shell(apiUrl("audio/speech").href)}`,
    ...curlKey(),
    '-H "Content-Type: application/json"',
    `-d ${shell(JSON.stringify(request))}`,
    `-o ${file}`,
  ];
  const fields = Object.entries(always).map(([name, value]) => `    ${name}=${python(value)},`);
  if (speed) fields.push(`    speed=${speed},`);
  if (language) fields.push(`    extra_body={"language": ${python(language)}},`);
  const program = [
    pythonClient(),
    "with client.audio.speech.with_streaming_response.create(",
    ...fields,
    ") as response:",
    `    response.stream_to_file("${file}")`,
  ];
  showSnippets(element, { curl: curl.join(" \\\n  "), Python: program.join("\n") });
}
