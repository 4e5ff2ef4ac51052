/** The version of the protocol, and how the two ends tell each other. A change that an older end cannot read raises it. */

/** The version that this build speaks. */
export const protocolVersion = 1;

/** Header of every request and response that carries the version. */
export const protocolHeader = "sheaf-protocol";

/** Header of an upload's chunk: the byte of the object that its first byte is. */
export const uploadOffsetHeader = "upload-offset";

/** Path that all versioned routes start with. */
export const apiPrefix = "/v1";
