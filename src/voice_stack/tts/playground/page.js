// The page of the TTS service: a text becomes speech, is played while it is made, and kept.

import { setUpCloning } from "./cloning.js";
import { showCode } from "./code.js";
import { NONCE, announce, api, clock, colour, config, saveFile, setUpPage, showProblem } from "./common.js";
import { WAV_HEADER_BYTES, soundFor, wavOf } from "./playback.js";
import { setUpTyping } from "./typing.js";
import WaveSurfer from "./wavesurfer.esm.js";

const TICK_MS = 200;
const MOST_DRAWN_BYTES = 60e6; // of a file: its waveform takes all of its samples
const PLAY = "M7 5v14l12-7z";
const PAUSE = "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z";

const at = (id) => document.getElementById(id);
const languages = new Intl.DisplayNames(["en"], { type: "language" });
const cloning = setUpCloning({ onVoices: showVoices, languageOptions });
let voices = [];

/** What was asked for last, until it is stopped before its end; null: nothing. */
let speech = null;

// What to say

async function showVoices(chosen = at("voice").value) {
  voices = (await (await api("audio/voices")).json()).data;
  const groups = new Map();
  for (const voice of voices) {
    const label = voice.language === "mul" ? "Any language" : languages.of(voice.language);
    if (!groups.has(label)) groups.set(label, []);
    groups.get(label).push(voice);
  }
  at("voice").replaceChildren(...[...groups].map(([label, members]) => voiceGroup(label, members)));
  if (voices.some((voice) => voice.id === chosen)) at("voice").value = chosen;
  showLanguages();
  cloning.show(voices);
}

function voiceGroup(label, members) {
  const group = document.createElement("optgroup");
  group.label = label;
  for (const { id, name } of members) {
    const shared = members.some((other) => other.id !== id && other.name === name);
    group.append(new Option(shared ? `${name} (${id})` : name, id));
  }
  return group;
}

function showLanguages() {
  const spoken = voices.find((voice) => voice.id === at("voice").value)?.languages ?? [];
  const chosen = at("language").value;
  at("language-field").hidden = spoken.length < 2;
  at("language").replaceChildren(at("language").options[0], ...languageOptions(spoken));
  at("language").value = spoken.includes(chosen) ? chosen : "";
}

function languageOptions(codes) {
  const options = codes.map((code) => new Option(languages.of(code), code));
  return options.sort((one, other) => one.text.localeCompare(other.text));
}

function requestOfForm() {
  const request = {
    model: "tts-1",
    voice: at("voice").value,
    input: at("text").value,
    response_format: at("format").value,
  };
  if (at("speed").valueAsNumber !== 1) request.speed = at("speed").valueAsNumber;
  if (at("language").value) request.language = at("language").value;
  return request;
}

// How it is made

async function speak() {
  drop();
  showProblem(at("problem"), null);
  show();
  try {
    if (voices.length === 0) await showVoices();
  } catch (error) {
    showProblem(at("problem"), error);
    return;
  }
  const request = requestOfForm();
  const mine = {
    request,
    making: true,
    askedAt: performance.now(),
    firstSoundS: null,
    ending: new AbortController(),
    paused: false,
    bytes: 0,
    file: null,
  };
  const begun = () => (mine.firstSoundS ??= (performance.now() - mine.askedAt) / 1000);
  mine.sound = soundFor(request.response_format, config.sample_rate_hz, { begun, ended: () => closeSound(mine) });
  mine.sound?.start();
  speech = mine;
  at("result").hidden = false;
  showCode(at("snippets"), request);
  show();
  announce("The speech is being made.");
  try {
    const parts = await receive(mine);
    await keep(mine, parts);
    if (mine !== speech) {
      // Stopped while the waveform was drawn.
      if (!speech?.file) waves.empty();
      return;
    }
    mine.making = false;
    announce(`All of the speech is there: ${Math.round(waves.getDuration())} seconds.`);
    if (!mine.sound && mine.firstSoundS === null) {
      begun();
      await waves.play();
    }
  } catch (error) {
    if (mine !== speech) return;
    drop();
    at("result").hidden = true;
    showProblem(at("problem"), error);
  }
  show();
}

async function receive(mine) {
  const response = await api("audio/speech", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(mine.request),
    signal: mine.ending.signal,
  });
  const parts = [];
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(asBrokenOff);
    if (done) break;
    parts.push(value);
    mine.bytes += value.byteLength;
    await mine.sound?.write(value);
  }
  await mine.sound?.finish();
  return parts;
}

function asBrokenOff(error) {
  if (error.name === "AbortError") throw error;
  throw new Error("The speech broke off before its end: the service failed or was stopped. Its log tells more.");
}

/** Have what came as a file, and its waveform. */
async function keep(mine, parts) {
  const { response_format: format } = mine.request;
  let playable = new Blob(parts);
  mine.file = { name: `speech.${format}`, blob: playable };
  if (format === "pcm" || format === "wav") {
    const samples = playable.slice(format === "wav" ? WAV_HEADER_BYTES : 0);
    playable = wavOf(samples, config.sample_rate_hz);
    // While it comes, its header cannot say how long it is.
    if (format === "wav") mine.file.blob = playable;
  }
  await waves.loadBlob(playable, playable.size > MOST_DRAWN_BYTES ? [[0]] : undefined);
}

function closeSound(mine) {
  // Where it was the sound that played: from its end on the file does.
  mine.sound?.close();
  mine.sound = null;
  show();
}

/** End the request, and with it the service's work, and forget what it has made. */
function drop() {
  speech?.ending.abort();
  speech?.sound?.close();
  speech = null;
  waves.empty();
}

function stop() {
  if (speech?.making) {
    drop();
    announce("Stopped.");
  } else {
    closeSound(speech);
    waves.stop();
  }
  // The button that was pressed cannot have the focus any more.
  at("speak").focus();
  show();
}

// How it is played

const waves = WaveSurfer.create({
  container: at("wave"),
  height: "auto",
  barWidth: 3,
  barGap: 2,
  barRadius: 3,
  normalize: true,
  interact: false,
  cspNonce: NONCE,
});
for (const event of ["play", "pause", "finish", "timeupdate"]) waves.on(event, () => show());

function paint() {
  waves.setOptions({ waveColor: colour("--wave"), progressColor: colour("--accent"), cursorColor: colour("--text") });
}

function isPlaying() {
  return speech?.sound ? !speech.paused && speech.firstSoundS !== null : waves.isPlaying();
}

function playOrPause() {
  if (!speech.sound) {
    waves.playPause();
    return;
  }
  speech.paused = !speech.paused;
  if (speech.paused) speech.sound.pause();
  else speech.sound.resume();
  show();
}

function seek() {
  const [wantedS, goesOn] = [at("seek").valueAsNumber, isPlaying()];
  closeSound(speech);
  waves.setTime(wantedS);
  show();
  if (goesOn) waves.play();
}

// What is shown

function show() {
  const making = speech?.making ?? false;
  const file = making ? null : speech?.file;
  const playing = isPlaying();
  const lengthS = file ? waves.getDuration() : (speech?.sound?.madeS ?? 0);
  const positionS = speech?.sound?.positionS ?? (file ? waves.getCurrentTime() : 0);
  at("making").hidden = !making;
  at("stop").disabled = !making && !playing;
  at("play").disabled = !file && (speech?.firstSoundS ?? null) === null;
  at("play-icon").setAttribute("d", playing ? PAUSE : PLAY);
  at("play-label").textContent = playing ? "Pause" : "Play";
  at("download").disabled = at("seek").disabled = !file;
  at("download-label").textContent = file ? `Download ${file.name}` : "Download";
  at("position").textContent = clock(positionS);
  at("length").textContent = clock(lengthS);
  at("seek").max = lengthS;
  at("seek").value = positionS;
  at("seek").setAttribute("aria-valuetext", `${clock(positionS)} of ${clock(lengthS)}`);
  at("figures").textContent = speech ? figures(lengthS) : "Stopped";
}

/** While a sound is played that is made. */
function tick() {
  if (!speech?.making && !speech?.sound) return;
  show();
  // The waveform follows: it takes over where that sound ends.
  if (!speech.making) waves.setTime(speech.sound.positionS);
}

function figures(lengthS) {
  const made = lengthS ? `${lengthS.toFixed(1)} s` : `${Math.ceil(speech.bytes / 1000)} kB`;
  const parts = [speech.making ? `${made} so far` : made];
  if (speech.firstSoundS !== null) parts.push(`first sound after ${speech.firstSoundS.toFixed(2)} s`);
  return parts.join(" · ");
}

function showFormat() {
  const sound = soundFor(at("format").value, config.sample_rate_hz, {});
  at("format-hint").hidden = sound !== null;
  sound?.close();
}

async function start() {
  setUpPage();
  paint();
  document.addEventListener("themechange", paint);
  at("speech").addEventListener("submit", (event) => {
    event.preventDefault();
    speak();
  });
  at("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("speech").requestSubmit();
  });
  at("stop").addEventListener("click", stop);
  at("play").addEventListener("click", playOrPause);
  at("seek").addEventListener("input", seek);
  at("download").addEventListener("click", () => saveFile(speech.file.name, speech.file.blob));
  at("voice").addEventListener("change", showLanguages);
  at("format").addEventListener("change", showFormat);
  at("speed").addEventListener("input", () => (at("speed-shown").textContent = `${at("speed").valueAsNumber}×`));
  showFormat();
  setInterval(tick, TICK_MS);
  setUpTyping(requestOfForm);
  try {
    await showVoices();
    showCode(at("snippets"), requestOfForm());
    at("model").textContent = `Model: ${(await (await api("models")).json()).data[0].id}`;
  } catch (error) {
    showProblem(at("problem"), error);
  }
}

start();
