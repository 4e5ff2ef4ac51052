/** The table of routes hangs together, and its OpenAPI description tells all of it. */
import { describe, expect, it } from "vitest";
import { roles } from "./messages.ts";
import { openApiDocument } from "./openApi.ts";
import { pathParameterSchemas, type Route, type RouteName, routeNames, routes } from "./routes.ts";

const all = routeNames.map((name): readonly [RouteName, Route] => [name, routes[name] as Route]);

describe("routes", () => {
  it("are told apart by method and path", () => {
    const keys = all.map(([, { method, path }]) => `${method} ${path.replace(/:\w+/g, ":")}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it.each(all)("%s has one meaning", (_, route) => {
    const inPath = [...route.path.matchAll(/:(\w+)/g)].map((match) => match[1]);
    expect(inPath).toEqual(route.parameter ? [route.parameter] : []);
    expect(route.roles.length).toBeGreaterThan(0);
    expect(new Set(roles)).toEqual(new Set([...roles, ...route.roles]));
    // What is open to all is not for some.
    if (route.roles.includes("public")) expect(route.roles).toEqual(["public"]);
    const hasBody = route.request !== "none";
    expect(route.limits.bodyBytes > 0).toBe(hasBody);
    if (route.method === "GET" || route.method === "HEAD") expect([hasBody, route.repeatable]).toEqual([false, true]);
    expect(route.path).toMatch(/^\/(v1\/|healthz$|metrics$)/);
  });

  it("let a device reach only what is its own", () => {
    const named = { leaseId: "lease", uploadId: "upload", sha256: "object" } as const;
    for (const [name, { roles: may, parameter, own }] of all) {
      if (!may.includes("device") || !parameter) continue;
      expect(own, name).toBe(named[parameter as keyof typeof named]);
    }
  });

  it("never let a viewer change anything", () => {
    for (const [name, { roles: may, method }] of all) if (may.includes("viewer")) expect(["GET", "HEAD"], name).toContain(method);
  });

  it("take no path parameter that is a path", () => {
    for (const schema of Object.values(pathParameterSchemas)) {
      for (const wrong of ["..", "a/b", "a%2fb", "", ".", "a\\b", "a\0", "x".repeat(65), "-a"])
        expect(schema.safeParse(wrong).success).toBe(false);
    }
    expect(pathParameterSchemas.runId.safeParse("run-1_a").success).toBe(true);
  });
});

describe("OpenAPI description", () => {
  const document = openApiDocument("https://example.org") as {
    paths: Record<
      string,
      Record<string, { operationId: string; parameters: { name: string; in: string }[]; requestBody?: object; security: object[] }>
    >;
  };

  it("has every route and no other", () => {
    const ids = Object.values(document.paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(ids.sort()).toEqual([...routeNames].sort());
  });

  it("is plain JSON, says who needs a token, and names every parameter in braces", () => {
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const { operationId, parameters, requestBody, security } of Object.values(methods)) {
        const route = routes[operationId as RouteName] as Route;
        expect(security.length > 0).toBe(!route.roles.includes("public"));
        expect(requestBody !== undefined).toBe(route.request !== "none");
        const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
        expect(parameters.filter((parameter) => parameter.in === "path").map(({ name }) => name)).toEqual(inPath);
      }
    }
  });

  it("points only to what it has", () => {
    const text = JSON.stringify(document);
    for (const [, target = ""] of text.matchAll(/"\$ref":"#([^"]*)"/g)) {
      const found = target
        .split("/")
        .slice(1)
        .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], document);
      expect(found, target).toBeDefined();
    }
  });
});
