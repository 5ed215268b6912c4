// Making a recovery key: it is shown once, and typed back, so that it is known to be written down.

import { equal } from "../../library/bytes.js";
import { parseRecoveryKey } from "../../library/recovery-key.js";
import { copy } from "../../parts/copying.js";
import { Button, PasswordField } from "../../parts/fields.js";
import { announce, tell } from "../../parts/messages.js";
import { Countdown, useWork } from "../../parts/work.js";
import { profile, refreshProfile } from "../../session/profile.js";
import { account, call } from "../../session/session.js";
import { noteMadeKey, noteProvenKey } from "../../session/unproven-key.js";
import { t } from "../../texts/index.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../../ui.js";
import { RecoveryKeyField } from "../entrance/fields.js";
import { forgetPassword, remembered } from "./password.js";

/** @typedef {{ key: string, hadOne: boolean }} Made `hadOne`: the account had one before, which is void */

/** Ask for the password, unless it is known, and make a key. @param {{ made: (made: Made) => void, beside?: any, first: boolean }} props */
function Ask({ made, beside, first }) {
  const [password, setPassword] = useState("");
  const known = remembered() !== "";
  const work = useWork(async () => {
    const body = { password: known ? remembered() : password };
    // What was told before is about the key before.
    const before = profile.get().now ?? (await refreshProfile().catch(() => null));
    const { recovery_key } = await call("POST", "/api/user/recovery-key", body, { attempts: 1 });
    forgetPassword();
    noteMadeKey();
    made({ key: recovery_key, hadOne: before?.recovery_key_set === true });
    // The key is shown whatever else fails.
    refreshProfile().catch(() => {});
  });
  return html`
    <form onSubmit=${work.submit}>
      ${!known && html`
        <${PasswordField} label=${t("field.password")} value=${password} change=${setPassword} required
          autocomplete="current-password" enterkeyhint="go" />
      `}
      <div class="buttons">
        <${Button} type="submit" class=${first ? "primary" : ""} busy=${work.busy} off=${work.seconds > 0}>
          ${t("recovery.make")}
        <//>
        ${beside}
      </div>
      <${Countdown} ...${work} />
    </form>
  `;
}

/** Show the key, and have it typed back. @param {{ recoveryKey: string, hadOne: boolean, done: () => Promise<void> }} props */
function Show({ recoveryKey, hadOne, done }) {
  const [written, setWritten] = useState("");
  const [fault, setFault] = useState("");
  const left = useRef(true);
  const start = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    start.current?.focus();
    const ask = (/** @type {Event} */ event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => {
      removeEventListener("beforeunload", ask);
      if (left.current && hadOne) tell(t("recovery.left"));
    };
  }, []);
  const compare = async () => {
    const [made, typed] = await Promise.all([parseRecoveryKey(recoveryKey), parseRecoveryKey(written).catch(() => null)]);
    const same = typed !== null && equal(made, typed);
    setFault(same ? "" : t("recovery.differs"));
    if (!same) return;
    left.current = false;
    await done();
  };
  const work = useWork(compare);
  const shown = useRef(/** @type {HTMLElement | null} */ (null));
  const copying = useWork(() =>
    copy(recoveryKey, { copied: t("recovery.copied"), refused: t("recovery.notCopied"), select: shown.current }),
  );
  // What is selected by hand is copied as it is written, with its hyphens.
  const takeAsWritten = (/** @type {ClipboardEvent} */ event) => {
    if (getSelection()?.toString().replaceAll(/\s/g, "") !== recoveryKey.replaceAll("-", "")) return;
    event.clipboardData?.setData("text/plain", recoveryKey);
    event.preventDefault();
  };
  return html`
    <div class="made" tabindex="-1" ref=${start} aria-label=${t("recovery.yours")} role="group">
      <p>${t("recovery.writeDown")} ${hadOne && t("recovery.void")}</p>
      <p class="key shown" translate="no" ref=${shown} onCopy=${takeAsWritten}>${recoveryKey.split("-").map((group) => html`<span>${group}</span>`)}</p>
      <div class="buttons">
        <${Button} busy=${copying.busy} onClick=${() => copying.submit()}>${t("recovery.copy")}<//>
        <${Saving} recoveryKey=${recoveryKey} />
      </div>
      <form onSubmit=${work.submit}>
        <${RecoveryKeyField} value=${written} change=${setWritten} fault=${fault} hint=${t("recovery.typeBack")}
          enterkeyhint="done" />
        <${Button} type="submit" class="primary" busy=${work.busy}>${t("recovery.check")}<//>
      </form>
    </div>
  `;
}

/** A link that saves the key as a file. @param {{ recoveryKey: string }} props */
function Saving({ recoveryKey }) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    const text = `${t("recovery.inFile", { email: account().user.email })}\n\n${recoveryKey}\n`;
    const made = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [recoveryKey]);
  return html`<a class="button" href=${address} download="panzoto-recovery-key.txt">${t("recovery.save")}</a>`;
}

/**
 * Make a recovery key, from the password to the key that was typed back.
 *
 * @param {{ done: () => void, before?: any, beside?: any, first?: boolean }} props `done`: it is written down;
 *   `before`, `beside`: what stands above the form until it is made, and what else may be pressed; `first`: it is
 *   what its view is for
 */
export function RecoveryKeyMaker({ done, before, beside, first = false }) {
  const [made, setMade] = useState(/** @type {Made | null} */ (null));
  if (made === null) return html`${before}<${Ask} made=${setMade} beside=${beside} first=${first} />`;
  const finish = async () => {
    await noteProvenKey();
    setMade(null);
    done();
    announce(t("recovery.done"));
  };
  return html`<${Show} recoveryKey=${made.key} hadOne=${made.hadOne} done=${finish} />`;
}
