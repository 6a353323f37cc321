// Playback of a file: its waveform where it is short enough to be drawn, a slider always.

import { clock, colour } from "./common.js";
import WaveSurfer from "./wavesurfer.esm.js";

// The browser decodes the whole of a file to draw it: 30 minutes take some 100 MB while it does.
const DRAWN_BYTES = 60e6;
const DRAWN_S = 1800;

const $ = (id) => document.getElementById(id);

export class Player {
  /** @param {{nonce: string, onTime: (time: number) => void}} options onTime: on every frame while it plays */
  constructor({ nonce, onTime }) {
    this.audio = $("audio");
    this.nonce = nonce;
    this.onTime = onTime;
    this.waves = null;
    this.url = null;
    this.file = null;
    this.audio.addEventListener("play", () => this.showPlaying());
    this.audio.addEventListener("pause", () => this.showPlaying());
    this.audio.addEventListener("seeking", () => this.showTime());
    this.audio.addEventListener("loadedmetadata", () => this.draw());
    this.audio.addEventListener("durationchange", () => this.showDuration());
    this.audio.addEventListener("error", () => this.url && this.setPlayable(false));
    $("play").addEventListener("click", () => this.toggle());
    $("position").addEventListener("input", () => (this.audio.currentTime = Number($("position").value)));
    document.addEventListener("themechange", () => this.waves?.setOptions(this.colours()));
  }

  get playing() {
    return !this.audio.paused;
  }

  /** In seconds; 0 where it is not known. */
  get duration() {
    const known = Number.isFinite(this.audio.duration) ? this.audio.duration : this.waves?.getDuration();
    return Number.isFinite(known) ? known : 0;
  }

  open(file) {
    this.close();
    this.file = file;
    this.url = URL.createObjectURL(file);
    this.setPlayable(true);
    this.audio.src = this.url;
  }

  close() {
    this.clearWaves();
    if (this.url === null) return;
    this.audio.pause();
    URL.revokeObjectURL(this.url);
    this.url = null;
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  playFrom(time) {
    if (!this.playable) return;
    this.audio.currentTime = time;
    if (this.audio.paused) this.play();
  }

  toggle() {
    if (this.audio.paused) this.play();
    else this.audio.pause();
  }

  play() {
    // Another file, or a pause, may come before it has begun.
    this.audio.play().catch((error) => error.name === "AbortError" || this.setPlayable(false));
  }

  setPlayable(playable) {
    this.playable = playable;
    $("player").hidden = !playable;
    $("unplayable").hidden = playable;
    $("words-hint").hidden = !playable;
    $("transcript").classList.toggle("unplayable", !playable);
  }

  draw() {
    this.showDuration();
    const [file, known] = [this.file, this.audio.duration];
    if (this.waves || !this.url || file.size > DRAWN_BYTES || (Number.isFinite(known) && known > DRAWN_S)) return;
    // It loads what the element plays.
    const waves = WaveSurfer.create({
      container: $("waveform"),
      media: this.audio,
      cspNonce: this.nonce,
      height: 88,
      barWidth: 3,
      barGap: 2,
      barRadius: 3,
      cursorWidth: 2,
      normalize: true,
      dragToSeek: true,
      ...this.colours(),
    });
    waves.on("ready", () => this.showDuration());
    // What cannot be drawn may play all the same.
    waves.on("error", () => waves === this.waves && this.clearWaves());
    this.waves = waves;
  }

  clearWaves() {
    this.waves?.destroy();
    this.waves = null;
  }

  colours() {
    return { waveColor: colour("--wave"), progressColor: colour("--accent"), cursorColor: colour("--accent-strong") };
  }

  showDuration() {
    $("position").max = this.duration;
    $("duration").textContent = clock(this.duration);
    this.showTime();
  }

  showPlaying() {
    $("play").classList.toggle("playing", this.playing);
    $("play").querySelector("span").textContent = this.playing ? "Pause" : "Play";
    if (this.playing) requestAnimationFrame(() => this.tick());
    else this.showTime();
  }

  tick() {
    this.showTime();
    if (this.playing) requestAnimationFrame(() => this.tick());
  }

  showTime() {
    const time = this.audio.currentTime;
    $("position").value = time;
    $("position").setAttribute("aria-valuetext", `${clock(time)} of ${clock(this.duration)}`);
    $("now").textContent = clock(time);
    this.onTime(time);
  }
}
