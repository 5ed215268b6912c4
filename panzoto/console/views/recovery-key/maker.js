// Making a recovery key: it is shown once, and typed back, so that it is known to be written down.

import { equal } from "../../library/bytes.js";
import { parseRecoveryKey } from "../../library/recovery-key.js";
import { Button, PasswordField } from "../../parts/fields.js";
import { announce, tell } from "../../parts/messages.js";
import { Countdown, useWork } from "../../parts/work.js";
import { refreshProfile } from "../../session/profile.js";
import { call } from "../../session/session.js";
import { t } from "../../texts/index.js";
import { html, useEffect, useRef, useState } from "../../ui.js";
import { RecoveryKeyField } from "../entrance/fields.js";
import { forgetPassword, remembered } from "./password.js";

/** Ask for the password, unless it is known, and make a key. @param {{ made: (key: string) => void, beside?: any, first: boolean }} props */
function Ask({ made, beside, first }) {
  const [password, setPassword] = useState("");
  const known = remembered() !== "";
  const work = useWork(async () => {
    const body = { password: known ? remembered() : password };
    const { recovery_key } = await call("POST", "/api/user/recovery-key", body, { attempts: 1 });
    forgetPassword();
    made(recovery_key);
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

/** Show the key, and have it typed back. @param {{ recoveryKey: string, done: () => void }} props */
function Show({ recoveryKey, done }) {
  const [written, setWritten] = useState("");
  const [fault, setFault] = useState("");
  const left = useRef(true);
  const start = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    start.current?.focus();
    const ask = (/** @type {Event} */ event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => {
      removeEventListener("beforeunload", ask);
      if (left.current) tell(t("recovery.left"));
    };
  }, []);
  const compare = async () => {
    const [made, typed] = await Promise.all([parseRecoveryKey(recoveryKey), parseRecoveryKey(written).catch(() => null)]);
    const same = typed !== null && equal(made, typed);
    setFault(same ? "" : t("recovery.differs"));
    if (!same) return;
    left.current = false;
    done();
  };
  const work = useWork(compare);
  const copy = useWork(async () => {
    await navigator.clipboard.writeText(recoveryKey);
    announce(t("recovery.copied"));
  });
  return html`
    <div class="made" tabindex="-1" ref=${start} aria-label=${t("recovery.yours")} role="group">
      <p>${t("recovery.writeDown")}</p>
      <p class="key shown" translate="no">${recoveryKey.split("-").map((group) => html`<span>${group}</span>`)}</p>
      <div class="buttons">
        <${Button} busy=${copy.busy} onClick=${() => copy.submit()}>${t("recovery.copy")}<//>
        <${Saving} recoveryKey=${recoveryKey} />
      </div>
      <form onSubmit=${work.submit}>
        <${RecoveryKeyField} value=${written} change=${setWritten} fault=${fault} hint=${t("recovery.typeBack")}
          enterkeyhint="done" />
        <${Button} type="submit" class="primary" busy=${work.busy}>${t("recovery.compare")}<//>
      </form>
    </div>
  `;
}

/** A link that saves the key as a file. @param {{ recoveryKey: string }} props */
function Saving({ recoveryKey }) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([`${t("recovery.inFile")}\n\n${recoveryKey}\n`], { type: "text/plain" }));
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [recoveryKey]);
  return html`<a class="button" href=${address} download="panzoto-recovery-key.txt">${t("recovery.save")}</a>`;
}

/**
 * Make a recovery key, from the password to the key that was typed back.
 *
 * @param {{ done: () => void, beside?: any, first?: boolean }} props `done`: it is written down; `beside`: what else
 *   may be pressed before it is made; `first`: it is what its view is for
 */
export function RecoveryKeyMaker({ done, beside, first = false }) {
  const [made, setMade] = useState("");
  if (made === "") return html`<${Ask} made=${setMade} beside=${beside} first=${first} />`;
  const finish = () => {
    setMade("");
    done();
    announce(t("recovery.done"));
  };
  return html`<${Show} recoveryKey=${made} done=${finish} />`;
}
