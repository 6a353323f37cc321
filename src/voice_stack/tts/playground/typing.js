// Speech while the text is still being typed: /audio/speech/stream.

import { api, config, showProblem, socketProtocols, socketUrl } from "./common.js";
import { soundFor } from "./playback.js";

const PAUSE_MS = 1000; // without a key: what is there is said

const at = (id) => document.getElementById(id);

/** @param {() => {voice: string, speed?: number, language?: string}} chosen how to speak */
export function setUpTyping(chosen) {
  let session = null; // {socket, sound, muted} while it lasts
  let sent = ""; // of the text: what was said cannot be changed
  let pausing = null;

  async function start() {
    showProblem(at("typing-problem"), null);
    at("typing").disabled = true;
    const mine = { socket: null, sound: newSound(), muted: false };
    try {
      // Browsers do not tell why a WebSocket was refused: a missing key is asked for here.
      await api("models");
      mine.socket = new WebSocket(socketUrl("audio/speech/stream"), socketProtocols());
      await new Promise((resolve, reject) => {
        mine.socket.onopen = resolve;
        mine.socket.onclose = () => reject(new Error("The service takes no session now: try again in a moment."));
      });
      session = mine;
      mine.socket.onmessage = ({ data }) => hear(mine, JSON.parse(data));
      mine.socket.onclose = () => end("The session has ended.");
      const { voice, speed = 1, language = null } = chosen();
      send("session.update", { session: { voice, speed, language, response_format: "pcm" } });
    } catch (error) {
      mine.sound.close();
      showProblem(at("typing-problem"), error);
    }
    at("typing").disabled = false;
    show(session ? "Type: it is spoken." : "");
    if (session) at("typed").focus();
  }

  function newSound() {
    const sound = soundFor("pcm", config.sample_rate_hz, { begun() {}, ended() {} });
    sound.start();
    return sound;
  }

  function send(type, fields = {}) {
    session.socket.send(JSON.stringify({ type, ...fields }));
  }

  function hear(mine, event) {
    if (event.type === "speech.audio.delta" && !mine.muted) {
      mine.sound.write(Uint8Array.from(atob(event.audio), (character) => character.charCodeAt(0)));
    } else if (event.type === "speech.cancelled") {
      mine.muted = false;
    } else if (event.error) {
      showProblem(at("typing-problem"), new Error(event.error.message));
    }
  }

  function type() {
    clearTimeout(pausing);
    const text = at("typed").value;
    if (!text.startsWith(sent)) sent = text;
    // The word that is being typed may still change.
    const whole = text.slice(0, Math.max(text.search(/\S*$/), sent.length));
    append(whole);
    pausing = setTimeout(flush, PAUSE_MS);
  }

  function append(text) {
    if (text.length > sent.length) send("input_text.append", { text: text.slice(sent.length) });
    sent = text;
  }

  function flush() {
    append(at("typed").value);
    send("input_text.flush");
  }

  function hush() {
    clearTimeout(pausing);
    session.sound.close();
    session.sound = newSound();
    session.muted = true;
    send("speech.cancel");
    sent = at("typed").value;
    at("typed").focus();
  }

  function end(state) {
    if (!session) return;
    clearTimeout(pausing);
    const { socket, sound } = session;
    session = null;
    socket.onclose = null;
    socket.close();
    sound.close();
    at("typed").value = sent = "";
    show(state);
  }

  function show(state) {
    at("typing").textContent = session ? "End" : "Start";
    at("typing-field").hidden = at("hush").hidden = !session;
    at("typing-state").textContent = state;
  }

  at("typing").addEventListener("click", () => (session ? end("") : start()));
  at("typed").addEventListener("input", type);
  at("hush").addEventListener("click", hush);
}
