// Everything as one file, to take along.

import { Button } from "../../parts/fields.js";
import { Section } from "../../parts/section.js";
import { useWork } from "../../parts/work.js";
import { downloadExport } from "../../playing/downloads.js";
import { t } from "../../texts/index.js";
import { html } from "../../ui.js";

export function Export() {
  const work = useWork(downloadExport);
  return html`
    <${Section} title=${t("account.export")}>
      <p>${t("account.exportHint")}</p>
      <p><${Button} busy=${work.busy} onClick=${() => work.submit()}>${t("account.exportAll")}<//></p>
    <//>
  `;
}
