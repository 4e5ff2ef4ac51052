import { openMemoryLog, openMemoryObjects, openMemorySecrets } from "./memory.ts";
import { type TestEntry, testEventLog, testObjectStore, testSecretStore } from "./storeContract.fixture.ts";

testEventLog("memory", async () => ({ store: openMemoryLog<TestEntry>() }));
testObjectStore("memory", async () => ({ store: openMemoryObjects() }));
testSecretStore("memory", async () => ({ store: openMemorySecrets() }));
