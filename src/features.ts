/** The door `sheaf/features`: log-mel and MFCC features of audio, as code and as ONNX operators. */
export { audioMetadata, readAudioMetadata } from "./features/audioInput.ts";
export { type Extractor, openExtractor } from "./features/extract.ts";
export {
  type AudioFeatures,
  type AudioInput,
  checkAudioFeatures,
  defaultAudioFeatures,
  featureShape,
  featureWidth,
  frameCount,
  hopSamples,
  windowSamples,
} from "./features/features.ts";
export { featureGraph, featureMacs } from "./features/graph.ts";
export { dctMatrix, hannWindow, hzToMel, melEdges, melFilterbank, melToHz } from "./features/matrices.ts";
