/** Builds the page in folder `root` into `outDir`, as the coordinator's pages are built. */
export function buildPage(root: string, outDir: string): Promise<void>;
