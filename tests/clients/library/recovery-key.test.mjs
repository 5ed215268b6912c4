// The recovery key as a person writes it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { random } from "../../../panzoto/console/library/bytes.js";
import { formatRecoveryKey, parseRecoveryKey } from "../../../panzoto/console/library/recovery-key.js";

// Section 2.5 of docs/clients.md: the bytes 0x00, 0x01, … 0x1f.
const BYTES = Uint8Array.from({ length: 32 }, (_, index) => index);
const WRITTEN = "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-2GAH-C5RR-34D1-P70X-3RFG-CC6W";
const refused = { name: "AccountError", reason: "recovery_key" };

test("it is written as the guide says, and read back", async () => {
  assert.equal(await formatRecoveryKey(BYTES), WRITTEN);
  assert.deepEqual(await parseRecoveryKey(WRITTEN), BYTES);
});

test("any key comes back", async () => {
  for (const key of [new Uint8Array(32), new Uint8Array(32).fill(255), random(32), random(32)]) {
    assert.deepEqual(await parseRecoveryKey(await formatRecoveryKey(key)), key);
  }
});

for (const [how, text] of [
  ["in small letters", WRITTEN.toLowerCase()],
  ["without hyphens", WRITTEN.replaceAll("-", "")],
  ["with spaces and lines", `  ${WRITTEN.replaceAll("-", " \n ")}\t`],
  ["with the dashes that phones make of hyphens", WRITTEN.replaceAll("-", "–")],
  ["with O for 0", WRITTEN.replaceAll("0", "O")],
  ["with o for 0", WRITTEN.replaceAll("0", "o")],
  ["with I for 1", WRITTEN.replaceAll("1", "I")],
  ["with l for 1", WRITTEN.replaceAll("1", "l")],
]) {
  test(`it is read ${how}`, async () => {
    assert.deepEqual(await parseRecoveryKey(text), BYTES);
  });
}

test("each single slip of the pen is found", async () => {
  for (let place = 0; place < WRITTEN.length; place++) {
    if (WRITTEN[place] === "-") continue;
    const other = WRITTEN[place] === "Z" ? "Y" : "Z";
    const slipped = WRITTEN.slice(0, place) + other + WRITTEN.slice(place + 1);
    await assert.rejects(parseRecoveryKey(slipped), refused, slipped);
  }
});

for (const [what, text] of [
  ["nothing", ""],
  ["one group too few", WRITTEN.slice(0, -5)],
  ["one character too many", `${WRITTEN}0`],
  ["a letter that there is not", WRITTEN.replace("R", "U")],
  ["a character beyond ASCII", WRITTEN.replace("R", "Я")],
  ["a wrong checksum", WRITTEN.replace("CC6W", "CC6X")],
]) {
  test(`${what} is none`, () => assert.rejects(parseRecoveryKey(text), refused));
}

test("padding that is not zero is refused, although the checksum is right", async () => {
  // The last of 52 characters holds one bit: G is 10000, and H is 10001.
  const groups = WRITTEN.split("-");
  const padded = groups.with(12, groups[12].slice(0, 3) + "H").join("-");
  assert.equal(groups[12].at(3), "G");
  await assert.rejects(parseRecoveryKey(padded), refused);
});

test("a key of another length is not written", async () => {
  await assert.rejects(formatRecoveryKey(new Uint8Array(31)), RangeError);
});
