// The page of the ASR service: files and recordings to transcripts; captions.js does the live part.

import {
  NONCE, announce, api, clock, postForm, saveFile, setUpPage, showProblem,
} from "./common.js";
import { closeMicrophone, listen, openMicrophone, record } from "./microphone.js";
import { setUpCaptions } from "./captions.js";
import { fillLanguages } from "./languages.js";
import { showFileSnippets } from "./snippets.js";
import { Player } from "./player.js";
import { Transcript } from "./transcript.js";

const $ = (id) => document.getElementById(id);

const player = new Player({ nonce: NONCE, onTime: (time) => transcript.light(time, player.playing) });
const transcript = new Transcript($("transcript"), { onPlay: (time) => player.playFrom(time) });

/** What was asked for: {language, task, model}, as the API takes it; the language is "" where it is to be detected. */
function choices() {
  return { language: $("language").value, task: $("task").value, model: $("model").value };
}

// Transcription

let aborter = null;
let result = null;

async function transcribe(file) {
  aborter?.abort();
  const mine = (aborter = new AbortController());
  const asked = choices();
  const began = performance.now();
  showProblem($("problem"), null);
  showWork(file.name, "starting", 0);
  transcript.clear();
  $("about").textContent = "";
  $("downloads").hidden = true;
  $("result").hidden = false;
  player.open(file);
  showFileSnippets($("snippets"), file.name, asked);
  hasCode = true;
  announce(`Transcribing ${file.name}`);
  try {
    const made = asked.task === "translate" ? await translated(file, asked, mine.signal) : await heard(file, asked, mine.signal);
    if (mine !== aborter) return;
    result = { name: file.name, transcript: made };
    showResult(made, (performance.now() - began) / 1000);
  } catch (error) {
    if (mine !== aborter) return;
    showProblem($("problem"), error);
    $("result").hidden = transcript.isEmpty;
    if (error.name === "AbortError") announce("Cancelled");
    if (transcript.isEmpty) player.close();
  } finally {
    if (mine === aborter) {
      aborter = null;
      $("work").hidden = true;
    }
  }
}

/** Transcribe, and show each segment as it is decoded. @returns what verbose_json would be */
async function heard(file, { language, model }, signal) {
  const form = new FormData();
  for (const [name, value] of Object.entries({
    model, language, response_format: "verbose_json", stream: "true", "include[]": "logprobs",
  })) {
    form.append(name, value);
  }
  for (const granularity of ["word", "segment"]) form.append("timestamp_granularities[]", granularity);
  form.append("file", file);

  const made = { task: "transcribe", language: "", duration: 0, text: "", segments: [], words: [] };
  let logprobs = [];
  const onEvent = (event) => {
    switch (event.type) {
      case "transcript.text.delta":
        logprobs = event.logprobs ?? [];
        break;
      case "transcript.text.segment": {
        const { type: _, words, ...segment } = event;
        made.segments.push(segment);
        made.words.push(...words);
        transcript.add(segment, words, logprobs.map((one) => one.logprob));
        showHeard(segment.end);
        break;
      }
      case "transcript.text.done":
        Object.assign(made, { text: event.text, language: event.language, duration: event.duration });
        break;
      case "error":
        throw new Error(event.error.message);
    }
  };
  let rest = "";
  let failure = null;
  const onText = (text) => {
    const events = (rest + text).split("\n\n");
    rest = events.pop();
    try {
      for (const event of events) onEvent(JSON.parse(event.slice(event.indexOf("data: ") + 6)));
    } catch (error) {
      failure ??= error;
    }
  };
  await postForm("audio/transcriptions", form, { onSent: showSent, onText, signal });
  if (failure) throw failure;
  return made;
}

/** Translate: the API gives all of it at the end, in segments. */
async function translated(file, { model }, signal) {
  const form = new FormData();
  form.append("model", model);
  form.append("response_format", "verbose_json");
  form.append("file", file);
  const { words: _, ...made } = JSON.parse(await postForm("audio/translations", form, { onSent: showSent, signal }));
  for (const segment of made.segments) transcript.add(segment, [], []);
  return made;
}

function showWork(name, state, share) {
  $("work").hidden = false;
  $("work-name").textContent = name;
  $("work-state").textContent = state;
  if (share === null) $("work-progress").removeAttribute("value");
  else $("work-progress").value = share;
}

function showSent(share) {
  if (share < 1) showWork($("work-name").textContent, `uploading, ${Math.floor(share * 100)} %`, share);
  else showWork($("work-name").textContent, "listening", null);
}

function showHeard(seconds) {
  const whole = player.duration;
  const state = whole ? `listening, ${clock(seconds)} of ${clock(whole)}` : `listening, at ${clock(seconds)}`;
  showWork($("work-name").textContent, state, whole ? Math.min(1, seconds / whole) : null);
}

function showResult(made, tookS) {
  const faster = made.duration / tookS;
  const about = [
    made.language && made.language[0].toUpperCase() + made.language.slice(1),
    clock(made.duration),
    `in ${tookS < 10 ? tookS.toFixed(1) : Math.round(tookS)} s`,
    faster >= 2 && `${Math.round(faster)} times real time`,
  ];
  $("about").textContent = about.filter(Boolean).join(" · ");
  $("unsure-hint").hidden = !transcript.isUnsure;
  transcript.finish(made.task);
  $("downloads").hidden = transcript.isEmpty;
  const count = made.text.split(/\s+/).filter(Boolean).length;
  announce(count ? `The transcript is there: ${count} words` : "No speech was heard");
}

// Downloads


async function download(format) {
  const { name, transcript: made } = result;
  const files = {
    txt: () => new Blob([`${made.text}\n`], { type: "text/plain" }),
    json: () => new Blob([JSON.stringify(made, null, 2)], { type: "application/json" }),
  };
  showProblem($("problem"), null);
  try {
    const blob = files[format]?.() ?? (await subtitles(made, format));
    saveFile(`${name.replace(/\.[^.]+$/, "")}.${format}`, blob);
  } catch (error) {
    showProblem($("problem"), error);
  }
}

/** The service lays subtitles out from the words' times, without decoding again. */
async function subtitles({ duration, segments, words }, format) {
  const times = { duration, words, segments: segments.map(({ start, end, text }) => ({ start, end, text })) };
  const answer = await api(`audio/transcriptions/subtitles?response_format=${format}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(times),
  });
  return answer.blob();
}

// Recording

let recording = null;

async function startRecording() {
  showProblem($("problem"), null);
  const stream = await openMicrophone();
  const recorder = record(stream);
  const began = performance.now();
  const onSamples = (_pcm, level) => {
    $("recording-level").style.setProperty("--level", Math.min(1, level * 4).toFixed(3));
    $("recorded").textContent = clock((performance.now() - began) / 1000);
  };
  const listening = await listen(stream, onSamples).catch((error) => {
    closeMicrophone(stream);
    throw error;
  });
  recording = {
    async stop() {
      const file = await recorder.stop();
      await listening.stop();
      closeMicrophone(stream);
      return file;
    },
  };
  showRecording(true);
}

function showRecording(active) {
  $("recording").hidden = !active;
  $("record").querySelector("span").textContent = active ? "Stop and transcribe" : "Record";
  if (active) announce("Recording");
}

async function toggleRecording() {
  $("record").disabled = true;
  try {
    if (recording === null) {
      await startRecording();
    } else {
      const stopping = recording;
      recording = null;
      const file = await stopping.stop();
      showRecording(false);
      transcribe(file);
    }
  } catch (error) {
    showProblem($("problem"), error);
  } finally {
    $("record").disabled = false;
    $("record").focus();
  }
}

// Files

function setUpDrop() {
  let inside = 0;
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  const mark = () => $("drop").classList.toggle("over", inside > 0);
  document.addEventListener("dragenter", (event) => holdsFiles(event) && (inside += 1) && mark());
  document.addEventListener("dragleave", (event) => holdsFiles(event) && ((inside -= 1), mark()));
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    inside = 0;
    mark();
    const [file] = event.dataTransfer.files;
    if (file) transcribe(file);
  });
}

let hasCode = false;

/** Until something was done: how it would be done with what is chosen. */
function showExample() {
  if (!hasCode) showFileSnippets($("snippets"), "speech.mp3", choices());
}

async function fillModels() {
  const { data } = await (await api("models")).json();
  // OpenAI's names all mean the configured model, which comes first.
  const names = data.map((model) => model.id).filter((id) => !/^(whisper-1|gpt-)/.test(id));
  $("model").replaceChildren(...names.map((id) => new Option(id, id)));
  showExample();
}

setUpPage();
fillLanguages($("language"));
showExample();
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) transcribe(file);
  $("file").value = "";
});
$("record").addEventListener("click", toggleRecording);
$("cancel").addEventListener("click", () => aborter?.abort());
$("task").addEventListener("change", () => ($("language").disabled = $("task").value === "translate"));
for (const id of ["language", "task", "model"]) $(id).addEventListener("change", showExample);
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => download(button.dataset.format));
}
setUpDrop();
setUpCaptions(choices, () => (hasCode = true));
document.documentElement.dataset.ready = "true";
fillModels().catch((error) => showProblem($("problem"), error));
