/** Tests that the test vectors of internal/ledger/testdata mean the same here. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseEntry } from './entry.mjs';
import { Refusal } from './forms.mjs';
import { Fold, STATES } from './fold.mjs';
import { HEAD, checkLedger, findItems, readEntries } from './ledger.mjs';
import { parseLine } from './manifest.mjs';
import { checkProof, writeProof } from './proof.mjs';

const DATA = fileURLToPath(new URL('../../internal/ledger/testdata', import.meta.url));
const skip = existsSync(DATA) ? false : 'no test vectors';
const root = mkdtempSync(join(tmpdir(), 'verifier-'));
after(() => rmSync(root, { recursive: true }));

/** The lines of a file, each split at its spaces. */
function rows(...path) {
  return readFileSync(join(DATA, ...path), 'utf8').split('\n').slice(0, -1).map((line) => line.split(' '));
}

/** The fingerprints that belong to a valid ledger. */
function fingerprints(name) {
  const [[, serverFingerprint], ...agents] = rows(name, 'fingerprints.txt');
  return { serverFingerprint, agents: agents.map(([, fingerprint]) => fingerprint) };
}

/** The reason of what a function refuses; an empty text if it refuses nothing. */
function reasonOf(check) {
  try {
    check();
    return '';
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}

const valid = skip ? [] : readdirSync(DATA).filter((name) => existsSync(join(DATA, name, 'states.txt')));

test('there are valid ledgers', { skip }, () => assert.ok(valid.length > 0));

for (const name of valid) {
  test(`${name} is valid, with its states, alarms and keys`, () => {
    const { serverFingerprint, agents } = fingerprints(name);
    const { problems, fold } = checkLedger(join(DATA, name), { serverFingerprint, agentFingerprints: agents });
    assert.deepEqual(problems, []);
    const states = fold.manifests.flatMap((manifest, i) => Array.from(manifest.states, (state, index) => [i + 1, index, STATES[state]].join(' ')));
    assert.deepEqual(states, rows(name, 'states.txt').map((row) => row.join(' ')));
    assert.deepEqual(fold.alarms.map(({ entry, code }) => [code, String(entry)]), rows(name, 'alarms.txt').map(([code, entry]) => [code, entry]));
    assert.deepEqual(fold.agentKey === null ? [] : [fold.agentKey.fingerprint], agents);
  });

  test(`${name} has proofs that are the same here`, () => {
    const { serverFingerprint, agents } = fingerprints(name);
    const checked = checkLedger(join(DATA, name), {});
    for (const [file, state] of rows(name, 'proofs.txt')) {
      const bytes = readFileSync(join(DATA, name, file));
      const shown = checkProof(bytes, { serverFingerprint, agentFingerprints: agents });
      assert.equal(shown.state, state, file);
      const [item] = findItems(checked, `${shown.manifest}/${shown.proof.lineIndex}`);
      assert.deepEqual(writeProof(checked, item), bytes, file);
    }
  });
}

test('the last entry of every refused ledger is refused for its reason', { skip }, () => {
  const different = [];
  for (const [name, reason] of rows('refused.txt')) {
    const fold = new Fold();
    const entries = readEntries(join(DATA, 'refused', `${name}.txt`));
    const found = reasonOf(() => {
      for (const { leaf } of entries) fold.append(parseEntry(leaf), leaf);
    });
    const frames = readFileSync(join(DATA, 'refused', `${name}.txt`), 'latin1').match(/^entry (?:0|[1-9][0-9]*) [0-9]+$/gm).length;
    if (found !== reason || fold.size !== frames - 1) different.push(`${name}: ${reason}, here ${found} at entry ${fold.size} of ${frames}`);
  }
  assert.deepEqual(different, []);
});

test('every refused head is refused', { skip }, () => {
  const dir = join(root, 'heads');
  cpSync(join(DATA, 'complete'), dir, { recursive: true });
  const accepted = readdirSync(join(DATA, 'refused-heads')).filter((name) => {
    cpSync(join(DATA, 'refused-heads', name), join(dir, HEAD));
    const { problems, agreed } = checkLedger(dir, {});
    return problems.length === 0 && agreed;
  });
  assert.deepEqual(accepted, []);
});

test('every refused proof is refused', { skip }, () => {
  const { serverFingerprint } = fingerprints('complete');
  const accepted = readdirSync(join(DATA, 'refused-proofs'))
    .filter((name) => reasonOf(() => checkProof(readFileSync(join(DATA, 'refused-proofs', name)), { serverFingerprint })) === '');
  assert.deepEqual(accepted, []);
});

test('every refused manifest line is refused', { skip }, () => {
  const lines = readFileSync(join(DATA, 'refused-lines.txt'), 'latin1').split('\n').slice(0, -1);
  assert.ok(lines.length > 0);
  assert.deepEqual(lines.filter((line) => reasonOf(() => parseLine(Buffer.from(line, 'latin1'))) === ''), []);
});
