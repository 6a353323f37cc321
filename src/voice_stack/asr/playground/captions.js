// Live captions: the microphone goes to the service over OpenAI's Realtime protocol, the text comes as it is said.

import { api, config, copy, showProblem, socketProtocols, socketUrl } from "./common.js";
import { base64, closeMicrophone, listen, openMicrophone } from "./microphone.js";
import { showCaptionSnippets } from "./snippets.js";

const FINISH_MS = 15_000; // for what was said last, after a stop
const MOST_WAITING_BYTES = 8e6; // about a minute of audio that the service has not taken
const MOST_LINES = 5000;
const TRANSCRIPTION = "conversation.item.input_audio_transcription";
const STOP = "stop";

const $ = (id) => document.getElementById(id);

/**
 * @param {() => {language: string, model: string}} choices what is chosen when captions start
 * @param {() => void} onStart
 */
export function setUpCaptions(choices, onStart) {
  const lines = new Lines($("captions"));
  let session = null;

  const show = (state) => {
    const [label, text] = LABELS[state];
    $("captions-toggle").querySelector("span").textContent = label;
    $("captions-toggle").disabled = state === "starting" || state === "finishing";
    $("captions-toggle").classList.toggle("primary", state !== "running");
    $("captions-toggle").classList.toggle("danger", state === "running");
    $("captions-state").textContent = text;
  };

  const start = async () => {
    show("starting");
    showProblem($("captions-problem"), null);
    const asked = choices();
    showCaptionSnippets($("snippets"), asked);
    onStart();
    session = new Session(asked, {
      onState: show,
      onProblem: (error) => showProblem($("captions-problem"), error),
      onLevel: (level) => $("captions-level").style.setProperty("--level", Math.min(1, level * 4).toFixed(3)),
      lines,
    });
    try {
      await session.run();
    } catch (error) {
      showProblem($("captions-problem"), error);
    } finally {
      session = null;
      show("idle");
      $("captions-level").style.removeProperty("--level");
    }
  };

  $("captions-toggle").addEventListener("click", () => (session ? session.stop() : start()));
  $("captions-copy").addEventListener("click", () => copy($("captions-copy"), $("captions")));
  $("captions-clear").addEventListener("click", () => lines.clear());
}

const LABELS = {
  idle: ["Start captions", ""],
  starting: ["Starting", ""],
  running: ["Stop captions", "Listening"],
  finishing: ["Finishing", ""],
};

/** Captions from a start to a stop. */
class Session {
  constructor({ language, model }, { onState, onProblem, onLevel, lines }) {
    this.transcription = { model, ...(language && { language }) };
    this.onState = onState;
    this.onProblem = onProblem;
    this.onLevel = onLevel;
    this.lines = lines;
    this.waiting = []; // samples from before the service was ready
    this.isReady = false;
    this.isStopping = false;
    this.isCommitted = false; // since the stop
    this.unfinished = new Set(); // utterances that were not completed yet
  }

  /** Until it was stopped, or the service ended it. */
  async run() {
    // The browser does not tell why a WebSocket was refused; a missing key is found out, and asked for, before.
    if (config.keys) await api("models");
    this.stream = await openMicrophone();
    // It may be pulled out.
    this.stream.getAudioTracks()[0].addEventListener("ended", () => this.stop());
    try {
      this.listening = await listen(this.stream, (pcm, level) => this.onSamples(pcm, level));
      this.socket = openSocket();
      await this.converse();
    } finally {
      await this.closeMicrophone();
      this.socket?.close();
    }
  }

  converse() {
    return new Promise((resolve, reject) => {
      this.finished = resolve;
      this.socket.addEventListener("message", ({ data }) => this.onEvent(JSON.parse(data)));
      this.socket.addEventListener("close", ({ code }) => {
        if (this.isStopping) resolve();
        else reject(this.lastError ?? new Error(CLOSED[code] ?? `The service ended the captions (code ${code}).`));
      });
    });
  }

  async stop() {
    if (this.isStopping) return;
    this.isStopping = true;
    this.onState("finishing");
    await this.closeMicrophone();
    if (!this.isReady) {
      this.finished?.();
      return;
    }
    this.send({ type: "input_audio_buffer.commit", event_id: STOP });
    setTimeout(() => this.finished(), FINISH_MS);
  }

  async closeMicrophone() {
    const { stream, listening } = this;
    this.stream = this.listening = null;
    if (stream) closeMicrophone(stream);
    await listening?.stop();
  }

  onSamples(pcm, level) {
    this.onLevel(level);
    if (!this.isReady) this.waiting.push(pcm);
    else if (this.socket.readyState === WebSocket.OPEN) this.append(pcm);
  }

  append(pcm) {
    this.send({ type: "input_audio_buffer.append", audio: base64(pcm) });
    if (this.socket.bufferedAmount > MOST_WAITING_BYTES) {
      this.lastError = new Error("The service does not take the audio fast enough.");
      this.socket.close();
    }
  }

  send(event) {
    this.socket.send(JSON.stringify(event));
  }

  onEvent(event) {
    switch (event.type) {
      case "session.created":
        this.configure();
        break;
      case "session.updated":
        this.begin();
        break;
      case "input_audio_buffer.speech_started":
        this.unfinished.add(event.item_id);
        break;
      case "input_audio_buffer.committed":
        this.unfinished.add(event.item_id);
        this.isCommitted ||= this.isStopping;
        break;
      case `${TRANSCRIPTION}.delta`:
        this.lines.add(event.item_id, event.delta);
        break;
      case `${TRANSCRIPTION}.completed`:
        this.lines.complete(event.item_id, event.transcript);
        this.unfinished.delete(event.item_id);
        break;
      case `${TRANSCRIPTION}.failed`:
        this.lines.fail(event.item_id, event.error.message);
        this.unfinished.delete(event.item_id);
        break;
      case "error":
        this.onError(event.error);
        break;
    }
    if (this.isCommitted && this.unfinished.size === 0) this.finished();
  }

  configure() {
    const format = { type: "audio/pcm", rate: this.listening.sampleRate };
    const input = { format, transcription: this.transcription, turn_detection: { type: "server_vad" } };
    this.send({ type: "session.update", session: { type: "transcription", audio: { input } } });
  }

  begin() {
    if (this.isReady || this.isStopping) return;
    this.isReady = true;
    this.onState("running");
    for (const pcm of this.waiting.splice(0)) this.append(pcm);
  }

  onError({ message, event_id: id }) {
    if (id === STOP) {
      // Nothing was said since the last utterance.
      this.isCommitted = true;
      return;
    }
    this.lastError = new Error(message);
    if (this.isReady) this.onProblem(this.lastError);
    else this.socket.close();
  }
}

function openSocket() {
  try {
    return new WebSocket(socketUrl("realtime?intent=transcription"), socketProtocols());
  } catch {
    throw new Error("This API key has characters that browsers cannot send over a WebSocket: captions need another key.");
  }
}

const CLOSED = {
  1006: "The connection to the service broke off.",
  1012: "The service is stopping; try again in a moment.",
  1013: "The service is busy; try again in a moment.",
};

/** The utterances, a line each. Text is only ever added, so that screen readers read each word once. */
class Lines {
  constructor(element) {
    this.element = element;
    this.open = new Map();
    this.empty = $("captions-empty");
  }

  add(id, text) {
    this.line(id).append(text);
    this.scroll();
  }

  complete(id, text) {
    if (!text.trim() && !this.open.has(id)) return;
    const line = this.line(id);
    if (line.textContent !== text) line.textContent = text;
    line.classList.remove("partial");
    if (!text.trim()) line.remove();
    this.open.delete(id);
    this.scroll();
  }

  fail(id, message) {
    const line = this.line(id);
    line.classList.replace("partial", "failed");
    line.append(` (${message})`);
    this.open.delete(id);
  }

  clear() {
    this.open.clear();
    this.element.replaceChildren(this.empty);
    this.show();
  }

  line(id) {
    let line = this.open.get(id);
    if (!line) {
      line = document.createElement("p");
      line.className = "partial";
      line.dir = "auto";
      this.open.set(id, line);
      this.empty.remove();
      this.element.append(line);
      if (this.element.childElementCount > MOST_LINES) this.element.firstElementChild.remove();
      this.show();
    }
    return line;
  }

  show() {
    $("captions-tools").hidden = this.element.contains(this.empty);
  }

  scroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    if (scrollHeight - scrollTop - clientHeight < 120) this.element.scrollTop = scrollHeight;
  }
}
