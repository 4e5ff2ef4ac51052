/** The door `sheaf/data`: data sets in memory, augmentation, batches and partitioners, for Node and browsers alike. */
export type { Augmentation, Normalization } from "./data/augment.ts";
export { checkAugmentation, fillBatch, fillBatchNchw, noAugmentation } from "./data/augment.ts";
export type { ArchiveSource, DatasetInfo, DatasetName } from "./data/catalog.ts";
export { datasetCatalog, datasetName, datasetNames } from "./data/catalog.ts";
export type { CifarClasses, CifarRecords, NamedBytes } from "./data/cifar.ts";
export { cifarShape, parseCifar, parseClassNames } from "./data/cifar.ts";
export { type ClipDecoder, openClipDecoder } from "./data/clipDecoder.ts";
export { type AudioAugmentation, fillWaves } from "./data/clips.ts";
export type {
  AudioSource,
  CoarseLabels,
  Dataset,
  DatasetSplits,
  Provenance,
  SampleDType,
  SampleShape,
  SampleStore,
  SampleValues,
} from "./data/dataset.ts";
export { channelStatistics, recordLength, samplesByClass, splitOff, subset, takeSamples } from "./data/dataset.ts";
export type { DatasetDefinition, DefinedArrays, DefinedOptions, DefinedPart } from "./data/define.ts";
export { defineDataset } from "./data/define.ts";
export type { GlyphSplit } from "./data/glyphs.ts";
export { drawGlyph, drawGlyphs, glyphClassNames, glyphShape, glyphVersion } from "./data/glyphs.ts";
export type { Partition, Partitioner, PartitionOptions, PartitionType } from "./data/partition/partition.ts";
export { partitioners } from "./data/partition/partitioners.ts";
export { type OpenSamples, openMemorySamples, type Records, type Samples } from "./data/samples.ts";
export { decodeWav, encodeWav, type Wave } from "./data/wav.ts";
