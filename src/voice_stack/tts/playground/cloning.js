// Voices made from recordings, where the engine can.

import { announce, api, clock, config, showProblem } from "./common.js";
import { closeMicrophone, listen, openMicrophone, record } from "./microphone.js";

const LONGEST_S = 115; // the service takes 120 s

const at = (id) => document.getElementById(id);

/**
 * @param {{onVoices: (chosen?: string) => Promise<void>, languageOptions: (codes: string[]) => HTMLOptionElement[]}} page
 *   onVoices: called where voices have come or gone, with the one to choose
 */
export function setUpCloning({ onVoices, languageOptions }) {
  let recording = null; // what was recorded, or the file that was chosen
  let microphone = null; // while it records

  at("cloning-hint").textContent = config.cloning
    ? "Record or choose 2 to 120 seconds of one person speaking, without music or noise: it becomes a voice that speaks every language of the model."
    : "This model speaks with ready-made voices, and learns none from a recording. With XTTS-v2 (TTS_ENGINE=coqui) you can add voices here.";
  at("clone").hidden = !config.cloning;

  function take(file) {
    recording = file;
    URL.revokeObjectURL(at("preview").src);
    at("preview").hidden = file === null;
    if (file) at("preview").src = URL.createObjectURL(file);
    else at("preview").removeAttribute("src");
  }

  async function startRecording() {
    showProblem(at("clone-problem"), null);
    at("record").disabled = true;
    try {
      const stream = await openMicrophone();
      const meter = await listen(stream, (_, level) => {
        at("level").firstElementChild.style.setProperty("--level", Math.min(1, level * 5));
      });
      const beganAt = performance.now();
      const tick = () => {
        const recordedS = (performance.now() - beganAt) / 1000;
        at("record-label").textContent = `Stop recording (${clock(recordedS)})`;
        if (recordedS >= LONGEST_S) stopRecording();
      };
      microphone = { stream, meter, recorder: record(stream), ticking: setInterval(tick, 500) };
      tick();
      showRecording();
    } catch (error) {
      showProblem(at("clone-problem"), error);
    }
    at("record").disabled = false;
  }

  async function stopRecording() {
    const { stream, meter, recorder, ticking } = microphone;
    microphone = null;
    clearInterval(ticking);
    showRecording();
    const file = await recorder.stop();
    closeMicrophone(stream);
    await meter.stop();
    at("clone-file").value = "";
    take(file);
    announce("Recorded.");
  }

  function showRecording() {
    at("record").setAttribute("aria-pressed", String(microphone !== null));
    if (microphone === null) at("record-label").textContent = "Record";
    at("level").hidden = microphone === null;
  }

  async function add() {
    showProblem(at("clone-problem"), null);
    if (microphone) await stopRecording();
    if (recording === null) {
      showProblem(at("clone-problem"), new Error("Record something first, or choose a file."));
      return;
    }
    const form = new FormData();
    form.append("name", at("clone-name").value);
    form.append("language", at("clone-language").value);
    form.append("consent", "confirmed on the page");
    form.append("audio_sample", recording, recording.name);
    at("add-voice").disabled = true;
    try {
      const voice = await (await api("audio/voices", { method: "POST", body: form })).json();
      at("clone").reset();
      take(null);
      await onVoices(voice.id);
      announce(`The voice ${voice.name} is there, and chosen.`);
    } catch (error) {
      showProblem(at("clone-problem"), error);
    }
    at("add-voice").disabled = false;
  }

  async function remove(voice) {
    if (!confirm(`Delete the voice ${voice.name}? The service then has its recording no more.`)) return;
    try {
      await api(`audio/voices/${encodeURIComponent(voice.id)}`, { method: "DELETE" });
      await onVoices();
      announce(`The voice ${voice.name} is deleted.`);
      at("cloning-title").focus();
    } catch (error) {
      showProblem(at("clone-problem"), error);
    }
  }

  function row(voice) {
    const item = document.createElement("li");
    item.innerHTML = '<span><span></span><span class="hint"></span></span><button class="button small danger" type="button">Delete</button>';
    const [name, id] = item.querySelectorAll("span span");
    name.textContent = voice.name;
    id.textContent = voice.id;
    item.querySelector("button").setAttribute("aria-label", `Delete the voice ${voice.id}`);
    item.querySelector("button").addEventListener("click", () => remove(voice));
    return item;
  }

  at("record").addEventListener("click", () => (microphone ? stopRecording() : startRecording()));
  at("clone-file").addEventListener("change", () => take(at("clone-file").files[0] ?? null));
  at("clone").addEventListener("submit", (event) => {
    event.preventDefault();
    add();
  });

  return {
    /** Show which voices of the list were made from recordings. */
    show(voices) {
      const own = voices.filter((voice) => voice.created_at > 0);
      at("own-voices").hidden = !config.cloning || own.length === 0;
      at("own-voices").replaceChildren(...own.map(row));
      const chosen = at("clone-language").value;
      at("clone-language").replaceChildren(...languageOptions(voices[0]?.languages ?? []));
      at("clone-language").value = chosen || "en";
    },
  };
}
