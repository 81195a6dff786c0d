/** Tests of evidence folders: what is accepted, what is refused, and for which reason. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { checkEvidence } from './evidence.mjs';
import { Key, Ledger, ORIGIN, line, sha256 } from './generate.mjs';

const VERIFY = new URL('verify.mjs', import.meta.url).pathname;
const OWN = `.wolkvox/evidence/acme-main-office/${'0123456789abcdef'.repeat(2)}/`;
const root = mkdtempSync(join(tmpdir(), 'evidence-'));
let folders = 0;
after(() => rmSync(root, { recursive: true }));

/** Makes a new empty folder. */
function folder() {
  folders += 1;
  return join(root, String(folders));
}

/** Names a numbered file. */
const numbered = (number) => `${String(number).padStart(10, '0')}.txt`;

/** Writes one file of an evidence folder. */
function put(dir, name, text) {
  mkdirSync(dirname(join(dir, name)), { recursive: true });
  writeFileSync(join(dir, name), text);
}

/** Writes the entries from one on, up to and without another, as a piece. */
function putEntries(dir, ledger, from, to) {
  put(dir, `ledger/${numbered(from)}`, Buffer.concat(ledger.leaves.slice(from, to).flatMap((leaf, i) => [Buffer.from(`entry ${from + i} ${leaf.length}\n`), leaf])));
}

/** The line of a SHA256SUMS for a recording of the generator, or for a file of the evidence. */
const recording = (path) => `${sha256(path).toString('hex')}  ${path}\n`;
const own = (dir, name) => `${sha256(readFileSync(join(dir, name))).toString('hex')}  ${OWN}${name}\n`;

/** Two nights; the first has two manifests, one in two pieces, and was written at two heads. */
function evidence() {
  const ledger = new Ledger().genesis().assigned();
  ledger.sealed([line('a'), line('b'), line('c')]).delivered(1, '0-1').receipt('waived', 1, '2', { reason: 'declined' });
  ledger.sealed([line('d')], { night: '2025-03-01' }).delivered(2, '0');
  ledger.sealed([line('e')]).delivered(3, '0').delivered(1, '2');
  const dir = folder();
  putEntries(dir, ledger, 0, 3);
  putEntries(dir, ledger, 3, 5);
  put(dir, `manifests/1/${numbered(0)}`, `${line('a')}\n${line('b')}\n`);
  put(dir, `manifests/1/${numbered(2)}`, `${line('c')}\n`);
  put(dir, `heads/${numbered(5)}`, ledger.agreedHead(5));
  put(dir, 'nights/2025-02-28/0000000005/SHA256SUMS', recording('a'));
  put(dir, 'nights/2025-02-28/0000000005/SHA256SUMS.0002', recording('b') + own(dir, `heads/${numbered(5)}`));
  putEntries(dir, ledger, 5, 10);
  put(dir, `manifests/2/${numbered(0)}`, `${line('d')}\n`);
  put(dir, `manifests/3/${numbered(0)}`, `${line('e')}\n`);
  put(dir, `heads/${numbered(10)}`, ledger.agreedHead(10));
  put(dir, 'nights/2025-02-28/0000000010/SHA256SUMS', ['a', 'b', 'c', 'e'].map(recording).join('')
    + [`manifests/1/${numbered(0)}`, `manifests/1/${numbered(2)}`, `manifests/3/${numbered(0)}`, `ledger/${numbered(5)}`, `heads/${numbered(10)}`]
      .map((name) => own(dir, name)).join(''));
  put(dir, 'nights/2025-03-01/0000000010/SHA256SUMS', recording('d'));
  return { ledger, dir };
}

/** Checks a folder and lists its problems as `FILE ENTRY REASON`. */
function problems(dir, trusted = {}) {
  return checkEvidence(dir, trusted).problems.map(({ file, reason }) => `${file} ${reason}`);
}

test('evidence is valid, and its command prints, counts and exits', () => {
  const { ledger, dir } = evidence();
  put(dir, 'nights/2025-03-01/0000000009/SHA256SUMS', 'what no head completes\n');
  put(dir, 'ledger/.0000000010.txt.tmp-1', 'what was being written');
  const server = new Key(ORIGIN, 1).fingerprint;
  const human = spawnSync(process.execPath, [VERIFY, 'evidence', dir, '--server-fingerprint', server, '--agent-fingerprint', ledger.agent.fingerprint], { encoding: 'utf8' });
  assert.equal(human.status, 0, human.stdout + human.stderr);
  assert.match(human.stdout, /^SHA256SUMS {8}2025-02-28 at head 10: 4 recordings$/m);
  assert.match(human.stdout, /^unfinished {8}1 /m);
  const json = JSON.parse(spawnSync(process.execPath, [VERIFY, 'evidence', dir, '--output', 'json'], { encoding: 'utf8' }).stdout);
  assert.equal(json.totals.counts.confirmed, 5);
  assert.deepEqual(json.sums.map(({ night, size, recordings }) => [night, size, recordings]),
    [['2025-02-28', 5, 2], ['2025-02-28', 10, 4], ['2025-03-01', 10, 1]]);
  assert.equal(json.notAgreed, 0);
  assert.equal(spawnSync(process.execPath, [VERIFY, 'evidence', dir, '--server-fingerprint', ledger.agent.fingerprint]).status, 1);
  assert.equal(spawnSync(process.execPath, [VERIFY, 'evidence', join(dir, 'none')]).status, 2);
});

/** Flips one bit in the middle of a file. */
function flip(dir, name) {
  const bytes = readFileSync(join(dir, name));
  bytes[Math.floor(bytes.length / 2)] ^= 1;
  writeFileSync(join(dir, name), bytes);
}

/** Lists all files of a folder. */
function files(dir, under = '') {
  return readdirSync(join(dir, under), { withFileTypes: true }).flatMap((entry) => (
    entry.isDirectory() ? files(dir, join(under, entry.name)) : [join(under, entry.name)]));
}

test('no file may be missing, empty or have a wrong bit', () => {
  const { dir } = evidence();
  // Without its head what follows the one before is not complete, as while it is being written; without an earlier head nothing
  // is said that the later one does not say.
  const mayGo = (name) => name.startsWith('heads/');
  for (const name of files(dir)) {
    const changes = { flip: (copy) => flip(copy, name), empty: (copy) => writeFileSync(join(copy, name), ''), remove: (copy) => rmSync(join(copy, name)) };
    for (const [what, change] of Object.entries(changes)) {
      if (what === 'remove' && mayGo(name)) continue;
      const copy = folder();
      cpSync(dir, copy, { recursive: true });
      change(copy);
      assert.notDeepEqual(problems(copy), [], `${what} ${name}`);
    }
  }
});

test('forged evidence is refused, and for which reason', () => {
  const cases = {
    'a piece of the log is missing': [(dir) => rmSync(join(dir, 'ledger', numbered(3))), `ledger/${numbered(5)} MISSING`],
    'two pieces are swapped': [(dir) => swap(dir, `ledger/${numbered(0)}`, `ledger/${numbered(3)}`), `ledger/${numbered(0)} TEXT`],
    'the log is truncated': [(dir) => rmSync(join(dir, 'ledger', numbered(5))), `heads/${numbered(10)} SIZE`],
    'the log is truncated within a piece': [(dir, ledger) => putEntries(dir, ledger, 5, 9), `heads/${numbered(10)} SIZE`],
    'an entry is left out': [(dir, ledger) => putEntries(dir, { leaves: ledger.leaves.toSpliced(5, 1) }, 5, 9), `ledger/${numbered(5)} MANIFEST`],
    'the log is forked': [(dir) => putEntries(dir, forked(), 5, 10), `heads/${numbered(10)} ROOT`],
    'the head is of a fork': [(dir) => put(dir, `heads/${numbered(10)}`, forked().agreedHead()), `heads/${numbered(10)} ROOT`],
    'an old head is of a fork': [(dir) => put(dir, `heads/${numbered(5)}`, new Ledger().genesis().assigned().sealed([]).sealed([]).sealed([]).agreedHead()), `heads/${numbered(5)} ROOT`],
    'a head has the name of another': [(dir, ledger) => put(dir, `heads/${numbered(10)}`, ledger.agreedHead(9)), `heads/${numbered(10)} SIZE`],
    'a head is of another key': [(dir) => put(dir, `heads/${numbered(10)}`, reassigned().agreedHead()), `heads/${numbered(10)} SIGNATURE`],
    'a key is assigned again by the forger': [(dir) => putEntries(dir, reassigned(), 5, 11), `heads/${numbered(10)} SIGNATURE`],
    'a head has no cosignature': [(dir, ledger) => {
      const text = ledger.checkpoint(10);
      put(dir, `heads/${numbered(10)}`, `${text}\n${ledger.server.line(text)}`);
    }, `heads/${numbered(10)} SIGNATURE`],
    'there is no head': [(dir) => rmSync(join(dir, 'heads'), { recursive: true }), 'heads MISSING'],
    'a manifest is missing': [(dir) => rmSync(join(dir, 'manifests/3'), { recursive: true }), 'manifests/3 ITEMS'],
    'a piece of a manifest is missing': [(dir) => rmSync(join(dir, 'manifests/1', numbered(0))), 'manifests/1 MISSING'],
    'pieces of manifests are swapped': [(dir) => swap(dir, `manifests/2/${numbered(0)}`, `manifests/3/${numbered(0)}`), 'manifests/2 ROOT'],
    'the line of another recording': [(dir) => put(dir, `manifests/2/${numbered(0)}`, `${line('x')}\n`), 'manifests/2 ROOT'],
    'a recording is left out': [(dir) => edit(dir, 10, recording('b'), ''), 'nights/2025-02-28/0000000010 SUMS'],
    'a recording has another digest': [(dir) => edit(dir, 10, recording('b'), recording('x').replace('  x', '  b')), 'nights/2025-02-28/0000000010 SUMS'],
    'a recording is listed that was not confirmed': [(dir) => edit(dir, 5, recording('a'), recording('a') + recording('c')), 'nights/2025-02-28/0000000005 SUMS'],
    'a file of the evidence has another digest': [(dir) => edit(dir, 10, own(dir, `ledger/${numbered(5)}`), recording('x').replace('  x', `  ${OWN}ledger/${numbered(5)}`)), 'nights/2025-02-28/0000000010 SUMS'],
    'a listed path leads out of the evidence': [(dir) => edit(dir, 10, own(dir, `ledger/${numbered(5)}`), recording('x').replace('  x', `  ${OWN}../../../x`)), 'nights/2025-02-28/0000000010 SUMS'],
    'a night has no sums': [(dir) => rmSync(join(dir, 'nights/2025-03-01'), { recursive: true }), 'nights/2025-03-01 MISSING'],
    'a night has only old sums': [(dir) => rmSync(join(dir, 'nights/2025-02-28/0000000010'), { recursive: true }), 'nights/2025-02-28 MISSING'],
    'sums are those of another night': [(dir) => swap(dir, 'nights/2025-02-28/0000000010', 'nights/2025-03-01/0000000010'), 'nights/2025-02-28/0000000010 SUMS'],
    'a piece is too large': [(dir) => put(dir, `heads/${numbered(10)}`, Buffer.alloc((1 << 20) + 1)), `heads/${numbered(10)} LIMIT`],
  };
  for (const [what, [change, expected]] of Object.entries(cases)) {
    const { ledger, dir } = evidence();
    assert.deepEqual(problems(dir), [], what);
    change(dir, ledger);
    assert.ok(problems(dir).includes(expected), `${what}: ${problems(dir).join(', ')}`);
  }
  const { dir, ledger } = evidence();
  const other = new Key(ORIGIN, 77).fingerprint;
  assert.deepEqual(problems(dir, { serverFingerprint: other }), ['ledger FINGERPRINT']);
  assert.deepEqual(problems(dir, { agentFingerprints: [other] }), ['ledger FINGERPRINT']);
  assert.deepEqual(problems(dir, { agentFingerprints: [ledger.agent.fingerprint] }), []);
});

/** Swaps two files or folders. */
function swap(dir, one, other) {
  renameSync(join(dir, one), join(dir, 'swapped'));
  renameSync(join(dir, other), join(dir, one));
  renameSync(join(dir, 'swapped'), join(dir, other));
}

/** Replaces text in the SHA256SUMS of the first night. */
function edit(dir, size, from, to) {
  const name = join(dir, `nights/2025-02-28/${String(size).padStart(10, '0')}/SHA256SUMS`);
  const text = readFileSync(name, 'utf8');
  assert.ok(text.includes(from));
  writeFileSync(name, text.replace(from, to));
}

/** The same log with another end. */
function forked() {
  const ledger = new Ledger().genesis().assigned();
  ledger.sealed([line('a'), line('b'), line('c')]).delivered(1, '0-1').receipt('waived', 1, '2', { reason: 'declined' });
  return ledger.sealed([line('d')], { night: '2025-03-01' }).delivered(2, '0').sealed([line('e')]).delivered(1, '2').delivered(3, '0');
}

/** The same log, where the server assigns a key of its own before the end. */
function reassigned() {
  const ledger = new Ledger().genesis().assigned();
  ledger.sealed([line('a'), line('b'), line('c')]).delivered(1, '0-1').receipt('waived', 1, '2', { reason: 'declined' });
  return ledger.assigned(new Key(`${ORIGIN}/agent/0011223344556677`, 9)).sealed([line('d')], { night: '2025-03-01' }).delivered(2, '0').sealed([line('e')]).delivered(3, '0');
}

test('a kit has the nights of its month, and must say what it is', () => {
  const kit = (ledger, month, server = new Key(ORIGIN, 1).fingerprint) => (
    `wolkvox-backup evidence kit v1\norigin ${ORIGIN}\nmonth ${month}\nserver-fingerprint ${server}\nagent-fingerprint ${ledger.agent.fingerprint}\n`);
  const { ledger, dir } = evidence();
  for (const number of [1, 3]) rmSync(join(dir, `manifests/${number}`), { recursive: true });
  rmSync(join(dir, 'nights/2025-02-28'), { recursive: true });
  assert.notDeepEqual(problems(dir), []);
  put(dir, 'kit.txt', kit(ledger, '2025-03'));
  assert.deepEqual(problems(dir), []);
  put(dir, 'kit.txt', kit(ledger, '2025-02'));
  assert.deepEqual(problems(dir), ['nights/2025-02-28 MISSING', 'manifests/1 ITEMS', 'manifests/3 ITEMS']);
  put(dir, 'kit.txt', kit(ledger, '2025-03', 'a'.repeat(64)));
  assert.deepEqual(problems(dir), ['kit.txt FINGERPRINT']);
  put(dir, 'kit.txt', kit(ledger, '2025-13'));
  assert.ok(problems(dir).includes('kit.txt TEXT'));
  put(dir, 'kit.txt', kit(ledger, '2025-03'));
  rmSync(join(dir, 'manifests/2'), { recursive: true });
  assert.ok(problems(dir).includes('manifests/2 ITEMS'));
});

test('a night of which nothing was ever confirmed needs no sums', () => {
  const { ledger, dir } = evidence();
  ledger.sealed([], { night: '2025-03-02' });
  putEntries(dir, ledger, 10, 11);
  put(dir, `heads/${numbered(11)}`, ledger.agreedHead());
  assert.deepEqual(problems(dir), []);
});

test('an erased recording may be listed or not', () => {
  const lines = [line('a'), line('b')];
  const ledger = new Ledger().genesis().assigned().sealed(lines).delivered(1, '0-1');
  ledger.about('forgotten', 1, { indexes: '0' });
  const dir = folder();
  putEntries(dir, ledger, 0, 5);
  put(dir, `heads/${numbered(4)}`, ledger.agreedHead(4));
  put(dir, `heads/${numbered(5)}`, ledger.agreedHead(5));
  put(dir, 'nights/2025-02-28/0000000005/SHA256SUMS', recording('b'));
  for (const first of [lines[0], `forgotten ${sha256(Buffer.from([0]), lines[0]).toString('hex')}`]) {
    put(dir, `manifests/1/${numbered(0)}`, `${first}\n${lines[1]}\n`);
    for (const sums of [recording('a') + recording('b'), recording('b')]) {
      put(dir, 'nights/2025-02-28/0000000004/SHA256SUMS', sums);
      assert.deepEqual(problems(dir), [], `${first} ${sums}`);
    }
    put(dir, 'nights/2025-02-28/0000000004/SHA256SUMS', recording('a'));
    assert.deepEqual(problems(dir), ['nights/2025-02-28/0000000004 SUMS']);
  }
});
