// The fields that the forms of the entrance share.

import { Checkbox, Field, PasswordField } from "../../parts/fields.js";
import { useStore } from "../../store.js";
import { t } from "../../texts/index.js";
import { html } from "../../ui.js";
import { typed } from "./typed.js";

/** @param {{ [rest: string]: any }} props */
export function EmailField(props) {
  const email = useStore(typed, (value) => value.email);
  return html`
    <${Field} label=${t("field.email")} type="email" name="email" value=${email} required autocomplete="username"
      autocapitalize="none" autocorrect=${false} spellcheck=${false} maxlength="254" enterkeyhint="next"
      change=${(/** @type {string} */ text) => typed.set({ email: text })} ...${props} />
  `;
}

/** @param {{ value: string, change: (text: string) => void, [rest: string]: any }} props */
export const KnownPassword = (props) => html`
  <${PasswordField} label=${t("field.password")} name="password" required autocomplete="current-password"
    enterkeyhint="go" ...${props} />
`;

/** @param {{ value: string, change: (text: string) => void, label?: string, [rest: string]: any }} props */
export const NewPassword = ({ label = t("field.newPassword"), ...props }) => html`
  <${PasswordField} label=${label} name="new-password" required minlength="8" maxlength="256"
    autocomplete="new-password" enterkeyhint="go" hint=${t("entrance.passwordHint")} ...${props} />
`;

/** @param {{ value: string, change: (text: string) => void, [rest: string]: any }} props */
export const RecoveryKeyField = (props) => html`
  <${Field} label=${t("field.recoveryKey")} required autocomplete="off" autocapitalize="characters" autocorrect=${false}
    spellcheck=${false} enterkeyhint="next" class="key" hint=${t("recovery.form")} ...${props} />
`;

export function Stay() {
  const stay = useStore(typed, (value) => value.stay);
  return html`
    <${Checkbox} label=${t("entrance.stay")} hint=${t("entrance.stayHint")} checked=${stay}
      change=${(/** @type {boolean} */ checked) => typed.set({ stay: checked })} />
  `;
}
