// Speech is played while it is being made: samples by Web Audio, files by Media Source where the browser can.
//
// Every sound has: start() within a click, write(bytes) for each piece, finish() after the last one, pause(), resume(),
// close(); madeS and positionS; and it calls `begun` once at its first sound and `ended` once behind its last.

export const WAV_HEADER_BYTES = 44; // of this service's files
const LEAD_S = 0.05; // before the first sample: scheduling takes a moment
const STREAMED_TYPES = { mp3: "audio/mpeg", aac: "audio/aac" };

/** The sound for a format; null where the browser can play it only when it is complete. */
export function soundFor(format, rateHz, callbacks) {
  if (format === "pcm" || format === "wav") {
    return new SampleSound(rateHz, format === "wav" ? WAV_HEADER_BYTES : 0, callbacks);
  }
  const type = STREAMED_TYPES[format];
  return type && window.MediaSource?.isTypeSupported(type) ? new FileSound(type, callbacks) : null;
}

/** A WAV file of a Blob of 16 bit mono samples, with its length in its header. */
export function wavOf(samples, rateHz) {
  const header = new DataView(new ArrayBuffer(WAV_HEADER_BYTES));
  const words = [
    [0, 0x52494646], [8, 0x57415645], [12, 0x666d7420], [36, 0x64617461], // RIFF, WAVE, fmt, data
  ];
  words.forEach(([offset, word]) => header.setUint32(offset, word));
  header.setUint32(4, WAV_HEADER_BYTES - 8 + samples.size, true);
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rateHz, true);
  header.setUint32(28, 2 * rateHz, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  header.setUint32(40, samples.size, true);
  return new Blob([header, samples], { type: "audio/wav" });
}

class SampleSound {
  #context;
  #callbacks;
  #rateHz;
  #skip; // bytes of the header that are still to come
  #rest = new Uint8Array(0); // half a sample
  #startAt = null; // of the first sample, on the context's clock; later by every gap
  #last = null;
  #finished = false;
  madeS = 0;

  constructor(rateHz, headerBytes, callbacks) {
    // At the speech's own rate: resampled piece by piece, the joins would click.
    this.#context = new AudioContext({ sampleRate: rateHz });
    this.#rateHz = rateHz;
    this.#skip = headerBytes;
    this.#callbacks = callbacks;
  }

  start() {
    this.#context.resume();
  }

  async write(bytes) {
    const skipped = Math.min(this.#skip, bytes.byteLength);
    this.#skip -= skipped;
    const whole = new Uint8Array(this.#rest.byteLength + bytes.byteLength - skipped);
    whole.set(this.#rest);
    whole.set(bytes.subarray(skipped), this.#rest.byteLength);
    const count = whole.byteLength >> 1;
    this.#rest = whole.slice(2 * count);
    if (count) this.#schedule(new DataView(whole.buffer), count);
  }

  finish() {
    this.#finished = true;
    if (!this.#last) this.#callbacks.ended();
  }

  pause() {
    this.#context.suspend();
  }

  resume() {
    this.#context.resume();
  }

  close() {
    this.#last = null;
    if (this.#context.state !== "closed") this.#context.close();
  }

  get positionS() {
    if (this.#startAt === null) return 0;
    return Math.min(Math.max(this.#context.currentTime - this.#startAt, 0), this.madeS);
  }

  #schedule(samples, count) {
    const buffer = new AudioBuffer({ length: count, sampleRate: this.#rateHz });
    const channel = buffer.getChannelData(0);
    for (let index = 0; index < count; index++) channel[index] = samples.getInt16(2 * index, true) / 0x8000;
    const earliest = this.#context.currentTime + LEAD_S;
    if (this.#startAt === null) {
      this.#startAt = earliest;
      this.#callbacks.begun();
    } else if (this.#startAt + this.madeS < this.#context.currentTime) {
      this.#startAt = earliest - this.madeS;
    }
    const node = new AudioBufferSourceNode(this.#context, { buffer });
    node.connect(this.#context.destination);
    node.start(this.#startAt + this.madeS);
    this.madeS += buffer.duration;
    this.#last = node;
    node.onended = () => {
      if (node !== this.#last) return;
      this.#last = null;
      if (this.#finished) this.#callbacks.ended();
    };
  }
}

class FileSound {
  #audio = new Audio();
  #source = new MediaSource();
  #opened;
  #buffer = null;
  #closed = false;

  constructor(type, callbacks) {
    this.#opened = once(this.#source, "sourceopen").then(() => {
      URL.revokeObjectURL(this.#audio.src);
      this.#buffer = this.#source.addSourceBuffer(type);
    });
    this.#audio.addEventListener("playing", () => callbacks.begun(), { once: true });
    this.#audio.addEventListener("ended", () => callbacks.ended());
  }

  start() {
    this.#audio.src = URL.createObjectURL(this.#source);
    this.resume();
  }

  async write(bytes) {
    await this.#opened;
    while (!this.#closed) {
      try {
        const appended = once(this.#buffer, "updateend");
        this.#buffer.appendBuffer(bytes);
        await appended;
        return;
      } catch (error) {
        if (error.name !== "QuotaExceededError") throw error;
        // The buffer is full of what was not played yet; the browser drops what was.
        await once(this.#audio, "timeupdate");
      }
    }
  }

  async finish() {
    await this.#opened;
    if (this.#source.readyState === "open") this.#source.endOfStream();
  }

  pause() {
    this.#audio.pause();
  }

  resume() {
    // Refused where it is paused again before the first sound.
    this.#audio.play().catch(() => {});
  }

  close() {
    this.#closed = true;
    this.#audio.pause();
    this.#audio.removeAttribute("src");
    this.#audio.load();
  }

  get madeS() {
    return this.#buffer && !this.#closed && this.#buffer.buffered.length
      ? this.#buffer.buffered.end(this.#buffer.buffered.length - 1)
      : 0;
  }

  get positionS() {
    return this.#audio.currentTime;
  }
}

function once(target, type) {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
}
