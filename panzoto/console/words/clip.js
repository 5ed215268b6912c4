// The transcript of one recording: opened, read, and corrected where somebody wants to.

import { ServiceError } from "../library/errors.js";
import { Failure } from "../parts/failure.js";
import { announce, dismiss, tell } from "../parts/messages.js";
import { momentOf } from "../recordings/known.js";
import { refreshSoon } from "../recordings/store.js";
import { headingOf } from "../recordings/titles.js";
import { moment } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { Editor, useCorrections } from "./editor.js";
import { correctTranscript, readTranscript } from "./link.js";
import { Segments } from "./segments.js";
import { Tools } from "./tools.js";

/** @import { Recording } from "../recordings/known.js" */
/** @import { Transcript } from "./words-worker.js" */

/**
 * The transcript that is shown, and how another takes its place.
 *
 * @param {Recording} recording
 */
function useTranscript({ file_id, transcript: state }) {
  const revision = state?.revision ?? "";
  const [transcript, setTranscript] = useState(/** @type {Transcript | null} */ (null));
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const [attempts, setAttempts] = useState(0);
  useEffect(() => {
    if (transcript?.revision === revision) return;
    let isLeft = false;
    setFailure(null);
    readTranscript(file_id, revision).then(
      (found) => isLeft || setTranscript(found),
      (error) => isLeft || setFailure(error),
    );
    return () => {
      isLeft = true;
    };
  }, [file_id, revision, attempts]);
  return { transcript, setTranscript, failure, again: () => setAttempts(attempts + 1) };
}

/** @param {{ recording: Recording, alone: boolean }} props */
export function Clip({ recording, alone }) {
  const { transcript, setTranscript, failure, again } = useTranscript(recording);
  return html`
    <div class="transcript-clip">
      ${!alone && html`<h3><bdi dir="auto">${headingOf(recording) || moment(momentOf(recording))}</bdi></h3>`}
      ${transcript === null && failure === null && html`<p class="quiet">${t("words.opening")}</p>`}
      ${failure !== null && html`<${Failure} failure=${failure} again=${again} />`}
      ${transcript !== null && html`
        <${Said} recording=${recording} transcript=${transcript} changed=${setTranscript} />
      `}
    </div>
  `;
}

/**
 * @param {{ recording: Recording, transcript: Transcript, changed: (transcript: Transcript) => void }} props
 */
function Said({ recording, transcript, changed }) {
  const corrections = useCorrections(recording.file_id, transcript);
  const [isEditing, setEditing] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const { file_id } = recording;
  const isOpen = isEditing || corrections.isTyped;
  const latest = useRef(corrections);
  latest.current = corrections;

  const end = () => {
    corrections.done();
    setEditing(false);
  };

  const save = async () => {
    const changes = corrections.changes();
    if (changes.length === 0) return end();
    setBusy(true);
    dismiss();
    try {
      const { draft } = corrections;
      changed(await correctTranscript(file_id, transcript, changes));
      latest.current.saved(draft);
      setEditing(false);
      announce(t("words.saved"));
      refreshSoon();
    } catch (error) {
      await saidWhy(error);
    }
    setBusy(false);
  };

  /** @param {unknown} error */
  const saidWhy = async (error) => {
    if (!(error instanceof ServiceError) || error.code !== "conflict") return tell(error);
    // What was typed stays, over what somebody else wrote.
    await readTranscript(file_id, "").then(changed, () => {});
    tell(t("words.conflict"));
  };

  if (isOpen) {
    return html`
      <${Editor} fileId=${file_id} transcript=${transcript} corrections=${corrections} busy=${isBusy} save=${save}
        discard=${end} />
    `;
  }
  return html`
    ${transcript.segments.length === 0
      ? html`<p class="quiet">${t("words.silent")}</p>`
      : html`<${Segments} fileId=${file_id} transcript=${transcript} />`}
    <${Tools} recording=${recording} transcript=${transcript} edit=${() => setEditing(true)} />
  `;
}
