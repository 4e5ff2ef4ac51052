/** The OpenAPI 3.1 description of the protocol, made from the table of routes. */
import { z } from "zod";
import { errorBodySchema, protocolErrorCodes, protocolErrors } from "./errors.ts";
import { watchEventSchema } from "./operatorMessages.ts";
import { type PlainBody, pathParameterSchemas, type Route, routeNames, routes } from "./routes.ts";
import { protocolHeader, protocolVersion, uploadOffsetHeader } from "./version.ts";

type Json = Readonly<Record<string, unknown>>;

/** A schema as OpenAPI embeds it: without `$schema`, which the document states once. */
function schemaOf(schema: z.ZodType<unknown>): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

const contentTypes: { readonly [B in Exclude<PlainBody, "none">]: readonly [type: string, schema: Json] } = {
  bytes: ["application/octet-stream", { type: "string", format: "binary" }],
  events: ["text/event-stream", { type: "string", description: `Each event's data is ${JSON.stringify(schemaOf(watchEventSchema))}` }],
  lines: ["application/jsonl", { type: "string" }],
  text: ["text/plain", { type: "string" }],
};

function contentOf(body: z.ZodType<unknown> | PlainBody): Json | undefined {
  if (body === "none") return undefined;
  if (typeof body !== "string") return { "application/json": { schema: schemaOf(body) } };
  const [type, schema] = contentTypes[body];
  return { [type]: { schema } };
}

/** Parameters of an operation: of its path, its query and its headers. */
function parametersOf({ parameter, query, request, path, method }: Route): readonly Json[] {
  const inPath = parameter ? [{ name: parameter, in: "path", required: true, schema: schemaOf(pathParameterSchemas[parameter]) }] : [];
  const properties = query ? (schemaOf(query as z.ZodType<unknown>).properties as Readonly<Record<string, Json>>) : {};
  const inQuery = Object.entries(properties).map(([name, schema]) => ({ name, in: "query", required: false, schema }));
  const header = (name: string, required: boolean, schema: Json): Json => ({ name, in: "header", required, schema });
  return [
    ...inPath,
    ...inQuery,
    header(protocolHeader, false, { type: "integer", const: protocolVersion }),
    ...(request === "bytes" ? [header(uploadOffsetHeader, true, { type: "integer", minimum: 0 })] : []),
    ...(path === routes.getObject.path && method === "GET" ? [header("range", false, { type: "string" })] : []),
    ...(path === routes.watchRun.path ? [header("last-event-id", false, { type: "integer", minimum: 0 })] : []),
  ];
}

function operationOf(name: string, route: Route): Json {
  const request = contentOf(route.request as z.ZodType<unknown> | PlainBody);
  const response = contentOf(route.response as z.ZodType<unknown> | PlainBody);
  const open = route.roles.includes("public");
  const success = { description: "Done.", ...(response ? { content: response } : {}) };
  return {
    operationId: name,
    summary: route.summary,
    description: `For: ${route.roles.join(", ")}.${route.own ? ` A device reaches its own ${route.own}s alone.` : ""} Largest body: ${route.limits.bodyBytes} bytes.`,
    parameters: parametersOf(route),
    ...(request ? { requestBody: { required: true, content: request } } : {}),
    responses: {
      [route.status]: success,
      ...(name === "getObject" ? { 206: { ...success, description: "The range." } } : {}),
      ...(name === "watchRun" ? { 204: { description: "The run has ended and all its events were sent." } } : {}),
      default: { $ref: "#/components/responses/Failure" },
    },
    security: open ? [] : [{ token: [] }],
  };
}

/** The whole description as a JSON value. `serverUrl` is where the coordinator is reached. */
export function openApiDocument(serverUrl?: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const name of routeNames) {
    const route = routes[name] as Route;
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(name, route) };
  }
  const codes = protocolErrorCodes.map((code) => `${protocolErrors[code].status} ${code}: ${protocolErrors[code].meaning}`);
  return {
    openapi: "3.1.0",
    info: { title: "Sheaf coordinator", version: String(protocolVersion), description: "Devices, runs and models of a fleet." },
    ...(serverUrl ? { servers: [{ url: serverUrl }] } : {}),
    paths,
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      responses: {
        Failure: { description: codes.join("\n"), content: { "application/json": { schema: schemaOf(errorBodySchema) } } },
      },
    },
  };
}
