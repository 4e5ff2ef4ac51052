/** The door `sheaf/data/node`: everything of `sheaf/data`, and loading sets and images from files. */

export { readCifarFolder } from "./data/cifar.node.ts";
export type { DownloadOptions, DownloadProgress } from "./data/download.node.ts";
export { downloadArchive } from "./data/download.node.ts";
export type { DatasetLocation, Environment, FindOptions } from "./data/find.node.ts";
export { cacheFolder, findDataset } from "./data/find.node.ts";
export { contactSheet, encodePng, readImage, writePng } from "./data/images.node.ts";
export type { LoadedSplits, LoadOptions, Preparation, PrepareProgress } from "./data/load.node.ts";
export { defaultPreparation, loadDataset, loadOwnData } from "./data/load.node.ts";
export { loadDatasetModule, type ModuleOptions } from "./data/modules.node.ts";
export { type PreparedSplits, type PrepareOptions, prepareSource } from "./data/prepare.node.ts";
export type { SkippedSample } from "./data/recordFile.node.ts";
export { openSamples } from "./data/samples.node.ts";
export { detectSource, openSource } from "./data/sources/openSource.node.ts";
export type { SampleSource, SourceEntry, SourceOptions } from "./data/sources/source.ts";
export { keywordWords, openSpeechCommands } from "./data/sources/speechCommands.node.ts";
export * from "./data.ts";
