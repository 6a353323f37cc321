// A session over OpenAI's SDK for JavaScript. Reads s16le of 24 kHz from stdin, sends it, waits for as many transcripts
// as asked for, and prints each event that came as a line of JSON.
//
//     node realtime.mjs (ws|websocket) BASE_URL API_KEY TRANSCRIPTS < PCM

import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import process from "node:process";

const require = createRequire(path.join(process.env.CLIENTS_NODE_MODULES, "any.js"));
const { OpenAI } = require("openai");
const { OpenAIRealtimeWS } = require("openai/realtime/ws");
const { OpenAIRealtimeWebSocket } = require("openai/realtime/websocket");
globalThis.WebSocket ??= require("ws").WebSocket;

const CHUNK_BYTES = 9600;
const [kind, baseURL, apiKey, transcripts] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });

// Both always build a wss: address. The service under test speaks without TLS, as behind a proxy that adds it.
const overNode = () =>
    new OpenAIRealtimeWS(
        { model: "gpt-4o-transcribe", options: { createConnection: ({ host, port }) => net.connect(port, host) } },
        client,
    );
const asInBrowsers = () =>
    new OpenAIRealtimeWebSocket(
        {
            model: "gpt-4o-transcribe",
            dangerouslyAllowBrowser: true,
            onURL: (url) => {
                url.protocol = "ws:";
                url.searchParams.set("intent", "transcription");
            },
        },
        client,
    );

const pieces = [];
for await (const piece of process.stdin) pieces.push(piece);
const audio = Buffer.concat(pieces);

const realtime = kind === "ws" ? overNode() : asInBrowsers();
let left = Number(transcripts);
realtime.on("event", (event) => console.log(JSON.stringify(event)));
realtime.on("error", (error) => {
    console.error(error.message);
    process.exitCode = 1;
    realtime.close();
});
realtime.on("session.created", () =>
    realtime.send({
        type: "session.update",
        session: { type: "transcription", audio: { input: { transcription: { language: "en" } } } },
    }),
);
realtime.on("session.updated", () => {
    for (let start = 0; start < audio.length; start += CHUNK_BYTES) {
        const chunk = audio.subarray(start, start + CHUNK_BYTES);
        realtime.send({ type: "input_audio_buffer.append", audio: chunk.toString("base64") });
    }
});
realtime.on("conversation.item.input_audio_transcription.completed", () => {
    left -= 1;
    if (left === 0) realtime.close();
});
