// Files that a person drops or chooses become uploads.

import { tell } from "../parts/messages.js";
import { account, session, vault } from "../session/session.js";
import { t } from "../texts/index.js";
import { TYPES } from "./accepted.js";
import "./busy.js";
import { add } from "./queue.js";
import { hide } from "./rows.js";

/** @import {Row} from "./rows.js" */

const LENGTH_MS = 5_000;

/** @param {string} name */
function partsOf(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? { stem: name.slice(0, dot), ending: name.slice(dot + 1).toLowerCase() } : { stem: name, ending: "" };
}

/** The media type of a file, without parameters; null where nothing tells. @param {File} file */
function typeOf(file) {
  const told = file.type.split(";")[0].trim().toLowerCase();
  return /^(audio|video)\//.test(told) ? told : (TYPES[partsOf(file.name).ending] ?? null);
}

/** What a sound is not, is not taken: a photo or a folder was dropped by mistake. @param {File} file */
const isSound = (file) => typeOf(file) !== null || file.type === "";

/** Take files for upload, in their order. What cannot be taken is told. @param {Iterable<File>} files */
export async function addFiles(files) {
  /** @type {string[]} */
  const refused = [];
  for (const file of files) {
    if (!isSound(file)) refused.push(t("upload.noSound", { name: file.name }));
    else if (file.size === 0) refused.push(t("upload.emptyFile", { name: file.name }));
    else await addFile(file).catch(tell);
  }
  // Whoever has locked the page meanwhile is told nothing that others may read.
  if (refused.length > 0 && session.get().state === "open") tell(refused.join(" "));
}

/** @param {File} file */
async function addFile(file) {
  const place = { userId: account().user_id, id: crypto.randomUUID() };
  const title = partsOf(file.name).stem.normalize();
  const hidden = await hide(vault(), place, { title, pieceKey: null, secrets: null, fingerprint: null });
  /** @type {Row} */
  const row = {
    ...place,
    addedAt: Date.now(),
    spoken: false,
    state: "ready",
    where: "file",
    paused: false,
    plainSize: null,
    contentType: typeOf(file),
    recordedAt: momentOf(file),
    durationMs: await durationOf(file),
    fileId: null,
    s3Key: null,
    sealedTitle: null,
    hidden,
  };
  await add(row, file);
}

/** When a file was last changed, as far as that can be: the service takes no moment before 1970. @param {File} file */
const momentOf = ({ lastModified }) => new Date(lastModified > 0 ? Math.min(lastModified, Date.now()) : Date.now()).toISOString();

/** How long a file plays, where the browser knows; null where it does not, or takes too long to tell. @param {Blob} file @returns {Promise<number | null>} */
async function durationOf(file) {
  const address = URL.createObjectURL(file);
  const sound = new Audio();
  try {
    const seconds = await new Promise((resolve) => {
      sound.onloadedmetadata = () => resolve(sound.duration);
      sound.onerror = () => resolve(NaN);
      setTimeout(() => resolve(NaN), LENGTH_MS);
      sound.preload = "metadata";
      sound.src = address;
    });
    return Number.isFinite(seconds) && seconds > 0 ? Math.round(seconds * 1000) : null;
  } finally {
    sound.removeAttribute("src");
    URL.revokeObjectURL(address);
  }
}

