// The microphone: permission, recordings, and its samples as they come.

import { BASE } from "./common.js";

const MOST_HZ = 48_000;

// What cleans a voice up for the ears of callers takes away from what models hear.
const SOUND = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };

/**
 * Ask for the microphone.
 * @returns {Promise<MediaStream>}
 * @throws {Error} whose message says what to do
 */
export async function openMicrophone() {
  if (!navigator.mediaDevices) {
    throw new Error(
      "Browsers give the microphone only to pages of this computer and to secure ones: open this page as " +
        "http://localhost, or serve it over HTTPS.",
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: SOUND });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The microphone cannot be used: ${error.message}`);
  }
}

const REASONS = {
  NotAllowedError: "The microphone is not allowed here: allow it in the browser's settings for this page, and try again.",
  NotFoundError: "There is no microphone: connect one and try again.",
  NotReadableError: "The microphone is in use by another program, or the system withholds it.",
};

/** Let go of the microphone. */
export function closeMicrophone(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/**
 * Record until stop() is called, which gives the recording.
 * @returns {{stop: () => Promise<File>}} the file is of whatever container and codec the browser likes best
 */
export function record(stream) {
  const recorder = new MediaRecorder(stream);
  const pieces = [];
  recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
  const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
  recorder.start(1000);
  return {
    async stop() {
      if (recorder.state !== "inactive") recorder.stop();
      await stopped;
      const type = recorder.mimeType.split(";")[0];
      const extension = { "audio/mp4": "m4a", "audio/ogg": "ogg" }[type] ?? "webm";
      return new File(pieces, `recording.${extension}`, { type });
    },
  };
}

/**
 * Listen to the samples, mono, about every 100 ms.
 * @param {(pcm: Int16Array, level: number) => void} onSamples level: the root mean square, 0 to 1
 * @returns {Promise<{sampleRate: number, stop: () => Promise<void>}>} sampleRate: in Hz, 8000 to 48000
 */
export async function listen(stream, onSamples) {
  let context = new AudioContext();
  if (context.sampleRate > MOST_HZ) {
    await context.close();
    context = new AudioContext({ sampleRate: MOST_HZ });
  }
  await context.audioWorklet.addModule(new URL("playground/pcm-worklet.js", BASE));
  const source = context.createMediaStreamSource(stream);
  const worklet = new AudioWorkletNode(context, "pcm", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  worklet.port.onmessage = ({ data }) => onSamples(data.pcm, data.level);
  source.connect(worklet);
  await context.resume();
  return {
    sampleRate: context.sampleRate,
    async stop() {
      source.disconnect();
      await context.close();
    },
  };
}

/** Samples as the API takes them in JSON. */
export function base64(pcm) {
  const bytes = new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}
