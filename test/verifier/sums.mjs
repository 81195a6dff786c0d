/** A night's SHA256SUMS: what `sha256sum -c` compares with the recordings (proto/README.md 1.8). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { quote, refuse } from './forms.mjs';
import { sha256 } from './tree.mjs';

/**
 * Names a piece.
 * @param {number} number which piece it is, from 1
 * @returns {string} its name
 */
function pieceName(number) {
  return number === 1 ? 'SHA256SUMS' : `SHA256SUMS.${String(number).padStart(4, '0')}`;
}

/**
 * Reads the lines of a SHA256SUMS from its pieces.
 * @param {string} folder the folder of the pieces
 * @param {(file: string) => Buffer} readPiece reads one piece
 * @yields {string} each line without LF, one character per byte
 */
function* readSums(folder, readPiece) {
  for (let number = 1; number === 1 || existsSync(join(folder, pieceName(number))); number += 1) {
    const text = readPiece(join(folder, pieceName(number))).toString('latin1');
    if (!text.endsWith('\n')) refuse('TEXT', `${pieceName(number)} does not end in LF`);
    yield* text.slice(0, -1).split('\n');
  }
}

/**
 * Checks that a SHA256SUMS lists every confirmed recording, then files of the evidence that are as it says, and nothing else.
 * @param {string} folder the folder of its pieces
 * @param {Iterable<{text: string | null, optional: boolean}>} expected the lines of the recordings
 * @param {(path: string) => string | null} ownFile finds a file of the evidence
 * @param {(file: string) => Buffer} readPiece reads one file of the evidence
 * @returns {number} how many recordings it lists
 */
export function checkSums(folder, expected, ownFile, readPiece) {
  const lines = readSums(folder, readPiece);
  let { value: line, done } = lines.next();
  let recordings = 0;
  const next = () => {
    ({ value: line, done } = lines.next());
  };
  let erased = 0; // recordings before this one whose lines are erased: the text of theirs is not known
  const passErased = (text) => {
    for (; !done && erased > 0 && line !== text && ownFile(line.slice(66)) === null; erased -= 1) {
      recordings += 1;
      next();
    }
    erased = 0;
  };
  for (const { text, optional } of expected) {
    if (text === null) {
      erased += 1;
      continue;
    }
    passErased(text);
    if (!done && line === text) {
      recordings += 1;
      next();
    } else if (!optional) {
      refuse('SUMS', `${done ? 'it ends' : `line ${quote(line)}`} where ${quote(text)} must stand`);
    }
  }
  passErased(null);
  for (; !done; next()) {
    const match = /^([0-9a-f]{64}) {2}(.+)$/.exec(line);
    const file = match === null ? null : ownFile(match[2]);
    if (file === null) refuse('SUMS', `${quote(line)} is none of the recordings confirmed, nor of the evidence`);
    if (!existsSync(file)) refuse('MISSING', `${match[2]} is not in the evidence`);
    const sum = sha256(readPiece(file)).toString('hex');
    if (sum !== match[1]) refuse('SUMS', `${match[2]} has the digest ${sum}, listed is ${match[1]}`);
  }
  return recordings;
}
