/** The door `sheaf/protocol`: messages between devices and a coordinator, the table of routes, and the client. */
export { ProtocolError, type ProtocolErrorCode, protocolErrors } from "./protocol/errors.ts";
export type * from "./protocol/messages.ts";
export { type ParameterOf, type QueryOf, type RequestOf, type ResponseOf, type Route, type RouteName, routes } from "./protocol/routes.ts";
export type * from "./protocol/tasks.ts";
