// The player's signs, drawn in the colour of their button.

import { html } from "../ui.js";

/** @param {{ children?: any, size?: number }} props */
const Icon = ({ children, size = 24 }) => html`
  <svg viewBox="0 0 24 24" width=${size} height=${size} fill="currentColor" aria-hidden="true" focusable="false">
    ${children}
  </svg>
`;

export const PlayIcon = () => html`<${Icon} size=${28}><path d="M7 4.5v15l13-7.5z" /><//>`;

export const PauseIcon = () => html`<${Icon} size=${28}><path d="M6 5h4v14H6zM14 5h4v14h-4z" /><//>`;

export const BackIcon = () => html`
  <${Icon}>
    <path d="M12 5V1.5L6.5 6 12 10.5V7a6 6 0 1 1-6 6H4a8 8 0 1 0 8-8z" />
    <text x="12" y="16" text-anchor="middle" font-size="7" font-weight="700">15</text>
  <//>
`;

export const ForwardIcon = () => html`
  <${Icon}>
    <path d="M12 5V1.5L17.5 6 12 10.5V7a6 6 0 1 0 6 6h2a8 8 0 1 1-8-8z" />
    <text x="12" y="16" text-anchor="middle" font-size="7" font-weight="700">15</text>
  <//>
`;

export const VolumeIcon = () => html`
  <${Icon} size=${20}><path d="M4 9v6h4l5 4V5L8 9zM15.5 8.5a5 5 0 0 1 0 7l1.2 1.2a6.7 6.7 0 0 0 0-9.4z" /><//>
`;
