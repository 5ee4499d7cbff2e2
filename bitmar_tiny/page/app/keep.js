// SPDX-License-Identifier: Apache-2.0
// The memory in the browser's storage: one store for each model, by the SHA-256 of the model.

import { Problem } from "./link.js";

const BASE = "bitmar-tiny", TABLE = "memories";

function opened() {
  return new Promise((ok, no) => {
    const request = indexedDB.open(BASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    request.onsuccess = () => ok(request.result);
    request.onerror = () => no(request.error);
  });
}

async function within(mode, use) {
  const base = await opened();
  try {
    return await new Promise((ok, no) => {
      const transaction = base.transaction(TABLE, mode), request = use(transaction.objectStore(TABLE));
      transaction.oncomplete = () => ok(request.result);
      transaction.onabort = transaction.onerror = () => no(transaction.error || request.error);
    });
  } finally {
    base.close();
  }
}

/** The store that was kept of a model, or null where there is none, or no storage. */
export async function readKept(digest) {
  try {
    return (await within("readonly", (table) => table.get(digest))) || null;
  } catch {
    return null;
  }
}

/** Keep a store in the place of the one before, whole or not at all. */
export async function keep(digest, store) {
  try {
    await within("readwrite", (table) => table.put(store, digest));
  } catch (error) {
    const why = error && error.name === "QuotaExceededError" ? "the browser has no room left" : (error && error.name) || "no storage";
    throw new Problem(`The memory could not be kept: ${why}. It ends with this page.`, "Save it to a file.");
  }
}

/** Whether this page alone keeps the model's memory. Another one that is open must not lose what it was taught. */
export async function alone(digest) {
  if (!navigator.locks) return true;
  return new Promise((ok) => {
    navigator.locks.request(`${BASE} ${digest}`, { ifAvailable: true }, (lock) => {
      ok(lock !== null);
      return lock && new Promise(() => {}); // held as long as the page is open
    }).catch(() => ok(true));
  });
}
