import { describe, expect, it } from "vitest";
import { ofClass, sortByFolder } from "./classFiles.ts";

const files = (...paths: string[]) => paths.map((path) => ({ path, file: new Blob([path]) }));

describe("sortByFolder", () => {
  it("takes the innermost folder that is named like a class, whatever its case", () => {
    const { brought, unknown } = sortByFolder(
      files("pets/Cat/1.png", "pets/dog/more/2.JPG", "dog/cat/3.webp", "pets/cow/4.png", "5.png", "pets/cow/6.png"),
      ["cat", "dog"],
      "image",
    );
    expect(brought.map(({ className, name }) => `${className} ${name}`)).toEqual([
      "cat pets/Cat/1.png",
      "dog pets/dog/more/2.JPG",
      "cat dog/cat/3.webp",
    ]);
    expect([...unknown]).toEqual([
      ["cow", 2],
      ["", 1],
    ]);
  });

  it("passes over other kinds of files and hidden ones", () => {
    const all = files("yes/1.wav", "yes/.2.wav", "yes/__MACOSX/3.wav", "yes/readme.txt", "yes/4.png");
    expect(sortByFolder(all, ["yes"], "audio").brought.map(({ name }) => name)).toEqual(["yes/1.wav"]);
    expect(sortByFolder(all, ["yes"], "audio").unknown.size).toBe(0);
  });
});

it("ofClass takes files of the medium", () => {
  expect(ofClass(files("a.png", "b.wav"), "cat", "image")).toMatchObject([{ className: "cat", name: "a.png" }]);
});
