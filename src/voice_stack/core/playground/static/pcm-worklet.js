// Runs on the audio thread: gathers 100 ms of samples and hands them on as signed 16 bit, with their level.

class Pcm extends AudioWorkletProcessor {
  constructor() {
    super();
    this.pcm = new Int16Array(Math.round(sampleRate / 10));
    this.filled = 0;
    this.energy = 0;
  }

  process([[channel]]) {
    for (const sample of channel ?? []) {
      const value = Math.max(-1, Math.min(1, sample));
      this.pcm[this.filled++] = Math.round(value * 32767);
      this.energy += value * value;
      if (this.filled === this.pcm.length) this.handOn();
    }
    return true;
  }

  handOn() {
    const level = Math.sqrt(this.energy / this.filled);
    this.port.postMessage({ pcm: this.pcm, level }, [this.pcm.buffer]);
    this.pcm = new Int16Array(Math.round(sampleRate / 10));
    this.filled = 0;
    this.energy = 0;
  }
}

registerProcessor("pcm", Pcm);
