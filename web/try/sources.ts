/** Where pictures and sounds come from: files, the camera, the microphone. Nothing of it leaves the page. */

import { openResampler } from "../../src/data/resample.ts";
import { decodeWav } from "../../src/data/wav.ts";
import type { ModelInput, PictureFit } from "../../src/harvest/deployedModel.ts";
import { placePicture, toPlanes } from "../device/decodePicture.ts";

type Shape = Extract<ModelInput, { readonly type: "image" }>["shape"];

/** A reader of the frame that a video shows, as the model's pixels. */
export function openFrameReader(shape: Shape, resize: PictureFit): (video: HTMLVideoElement) => Uint8Array {
  const canvas = new OffscreenCanvas(shape.width, shape.height);
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  if (!context) throw new Error("This browser gives no canvas to read pictures with.");
  context.imageSmoothingQuality = "high";
  return (video) => {
    context.fillStyle = "black";
    context.fillRect(0, 0, shape.width, shape.height);
    const { left, top, width, height } = placePicture({ width: video.videoWidth, height: video.videoHeight }, shape, resize);
    context.drawImage(video, left, top, width, height);
    return toPlanes(context.getImageData(0, 0, shape.width, shape.height).data, shape);
  };
}

/** Shows the camera in a video; the answer turns it off. */
export async function openCamera(video: HTMLVideoElement): Promise<() => void> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 640 } } });
  video.srcObject = stream;
  await video.play();
  return () => {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
}

/** A recording as a wave at the model's rate, by the same arithmetic as in Node. Files other than WAV are decoded by the browser. */
export async function readSound(file: File, sampleRate: number): Promise<Float32Array> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (/\.wav$/i.test(file.name)) {
    const wave = decodeWav(bytes, file.name);
    const resampler = await openResampler(wave.sampleRate, sampleRate);
    try {
      return resampler.resample(wave.samples);
    } finally {
      resampler.close();
    }
  }
  const decoded = await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(bytes.buffer);
  return decoded.getChannelData(0);
}

/** Hands on what the microphone hears at the model's rate; the answer turns it off. */
export async function openMicrophone(sampleRate: number, onBlock: (block: Float32Array) => void): Promise<() => void> {
  const processing = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...processing } });
  const context = new AudioContext({ sampleRate });
  const stop = (): void => {
    for (const track of stream.getTracks()) track.stop();
    void context.close();
  };
  try {
    await context.audioWorklet.addModule("/recorder.js");
    const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    recorder.port.onmessage = ({ data }: MessageEvent<Float32Array>) => onBlock(data);
    context.createMediaStreamSource(stream).connect(recorder);
    return stop;
  } catch (error) {
    stop();
    throw error;
  }
}
