/** Clips from the microphone, one after another while it is on, as WAV files: they then go the way of all WAV files. */
import { encodeWav, fitLength, toInt16 } from "../../src/data/wav.ts";

export interface MicrophoneOptions {
  readonly sampleRate: number;
  readonly clipSamples: number;
  /** Whether the next clip has begun. */
  readonly onTurn: (isRecording: boolean) => void;
  readonly onClip: (wav: Blob) => void;
}

/** Silence between two clips, for a breath. */
const pauseSeconds = 0.6;

/** Asks for the microphone and records until it is stopped. Throws what the browser throws where the person says no. */
export async function recordClips({ sampleRate, clipSamples, onTurn, onClip }: MicrophoneOptions): Promise<() => void> {
  // What makes speech pleasant to hear makes it other than what a device hears.
  const constraints = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
  const context = new AudioContext({ sampleRate });
  const release = (): void => {
    for (const track of stream.getTracks()) track.stop();
    void context.close();
  };
  try {
    await context.audioWorklet.addModule("/recorder.js");
  } catch (error) {
    release();
    throw error;
  }
  const node = new AudioWorkletNode(context, "recorder");
  context.createMediaStreamSource(stream).connect(node);
  let clip: Float32Array | undefined;
  let filled = 0;
  let waiting = Math.round(pauseSeconds * sampleRate);
  node.port.onmessage = ({ data: block }: MessageEvent<Float32Array>) => {
    if (waiting > 0) {
      waiting -= block.length;
      return;
    }
    if (!clip) {
      clip = new Float32Array(clipSamples);
      filled = 0;
      onTurn(true);
    }
    const part = block.subarray(0, clipSamples - filled);
    clip.set(part, filled);
    filled += part.length;
    if (filled < clipSamples) return;
    onTurn(false);
    onClip(new Blob([encodeWav(fitLength(toInt16(clip), clipSamples), sampleRate) as Uint8Array<ArrayBuffer>], { type: "audio/wav" }));
    clip = undefined;
    waiting = Math.round(pauseSeconds * sampleRate);
  };
  return () => {
    node.port.onmessage = null;
    release();
  };
}
