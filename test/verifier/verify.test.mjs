/** Tests of whole ledgers: what is accepted, what is refused, and for which reason. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Key, Ledger, ORIGIN, everyKind, line, sha256, short } from './generate.mjs';
import { parseEntry } from './entry.mjs';
import { Fold, STATES } from './fold.mjs';
import { checkLedger } from './ledger.mjs';

const VERIFY = new URL('verify.mjs', import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), 'verifier-'));
let folders = 0;
after(() => rmSync(root, { recursive: true }));

/** Makes a new empty folder. */
function folder() {
  folders += 1;
  return join(root, String(folders));
}

/** Runs the command line. */
function run(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [VERIFY, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** Checks an export and lists its problems as `FILE ENTRY REASON`. */
function problems(dir, trusted = {}) {
  return checkLedger(dir, trusted).problems.map(({ file, entry, reason }) => [file, entry, reason].filter((part) => part !== undefined).join(' '));
}

test('a ledger with every kind of entry is valid and folds to the states of the text', () => {
  const { ledger, states } = everyKind();
  const dir = ledger.write(folder());
  const checked = checkLedger(dir, {});
  assert.deepEqual(checked.problems, []);
  assert.deepEqual(checked.fold.manifests.map((manifest) => Array.from(manifest.states, (state) => STATES[state])), states);
  assert.deepEqual(checked.fold.alarms.map(({ entry, code }) => [entry, code]), [[19, 'COUNTS']]);
  for (const { items, counts } of checked.fold.manifests) assert.equal(counts.reduce((a, b) => a + b), items);
});

test('the command line prints, counts and exits', () => {
  const { ledger, states } = everyKind();
  const dir = ledger.write(folder(), ledger.agreedHead());
  const human = run('ledger', dir);
  assert.equal(human.status, 0, human.stderr);
  const head = `${ledger.leaves.length} ${Buffer.from(ledger.checkpoint().split('\n')[2], 'base64').toString('hex')}`;
  assert.ok(human.stdout.includes(head), human.stdout);
  const json = JSON.parse(run('ledger', dir, '--output', 'json').stdout);
  assert.equal(json.notAgreed, 0);
  assert.equal(json.totals.bytes, '877');
  assert.equal(json.totals.counts.confirmed, 3);
  const lines = states.flatMap((manifest, i) => manifest.map((state, index) => `${i + 1} ${index} ${state}\n`));
  assert.equal(run('states', dir).stdout, lines.join(''));
  for (const wanted of ['1/7', '2025/iñ.gsm', 'old/iñ']) {
    const { status, stdout } = run('state', dir, wanted);
    assert.equal(status, 0);
    assert.ok(stdout.startsWith('1/7 pending\n'), stdout);
    assert.equal(stdout.match(/^entry /gm).length, 3);
  }
  assert.equal(run('state', dir, '2025/none.gsm').status, 1);
  const genesis = new Key(ORIGIN, 1).fingerprint;
  const agents = [new Key(`${ORIGIN}/agent/00112233aabbccdd`, 2).fingerprint, ledger.agent.fingerprint];
  assert.equal(run('ledger', dir, '--server-fingerprint', genesis, ...agents.flatMap((agent) => ['--agent-fingerprint', agent])).status, 0);
  assert.equal(run('ledger', dir, '--server-fingerprint', agents[0]).status, 1);
  assert.equal(run('ledger', dir, '--agent-fingerprint', agents[0]).status, 1);
  for (const args of [[], ['other'], ['ledger'], ['ledger', dir, dir], ['ledger', dir, '--output', 'xml'], ['states', join(dir, 'none')],
    ['ledger', dir, '--server-fingerprint', 'abc'], ['states', dir, '--output', 'json'], ['proof', join(dir, 'none')]]) {
    assert.equal(run(...args).status, 2, args.join(' '));
  }
  appendFileSync(join(dir, 'ledger.txt'), 'x');
  const refused = run('ledger', dir);
  assert.equal(refused.status, 1);
  assert.match(refused.stdout, /^refused: entry 22: TEXT: /m);
  assert.equal(run('states', dir).status, 1);
});

test('every state and every entry meet as in the table of 3.2', () => {
  const table = {
    delivered: ['confirmed', 'confirmed', 'confirmed', 'confirmed', 'confirmed', 'confirmed', 'forgotten'],
    lost: ['pending', 'pending', 'expired', 'waived', 'released', 'withdrawn', 'forgotten'],
    'lost after closed': ['expired', 'expired', 'expired', 'waived', 'released', 'withdrawn', 'forgotten'],
    waived: ['waived', 'confirmed', 'waived', 'waived', 'released', 'withdrawn', 'forgotten'],
    released: ['pending', 'released', 'expired', 'waived', 'released', 'withdrawn', 'forgotten'],
    closed: ['expired', 'confirmed', 'expired', 'waived', 'released', 'withdrawn', 'forgotten'],
    extended: ['pending', 'confirmed', 'pending', 'waived', 'released', 'withdrawn', 'forgotten'],
    withdrawn: ['withdrawn', 'confirmed', 'withdrawn', 'withdrawn', 'released', 'withdrawn', 'forgotten'],
    forgotten: Array(7).fill('forgotten'),
    erased: ['pending', 'confirmed', 'expired', 'waived', 'released', 'withdrawn', 'forgotten'],
  };
  const apply = {
    delivered: (ledger) => ledger.delivered(1, '0-6'),
    lost: (ledger) => ledger.lost(1, '0-6'),
    'lost after closed': (ledger) => ledger.closed(1, [0, 0, 0, 0, 0, 0]).lost(1, '0-6'),
    waived: (ledger) => ledger.receipt('waived', 1, '0-6', { reason: 'not-needed' }),
    released: (ledger) => ledger.receipt('released', 1, '0-6', { reason: 'command' }),
    closed: (ledger) => ledger.closed(1, [0, 0, 0, 0, 0, 0]),
    extended: (ledger) => ledger.about('extended', 1, { deadline: '2025-07-01T00:00:00Z', reason: 'courtesy' }),
    withdrawn: (ledger) => ledger.about('withdrawn', 1, { indexes: '0-6', reason: 'name', replacement: '-' }),
    forgotten: (ledger) => ledger.about('forgotten', 1, { indexes: '0-6' }),
    erased: (ledger) => ledger.receipt('erased', 1, '0-6', { outcome: 'deleted' }),
  };
  for (const [kind, expected] of Object.entries(table)) {
    const ledger = new Ledger().genesis().assigned();
    ledger.sealed('abcdefg'.split('').map((name) => line(name)));
    const fold = new Fold();
    ledger.leaves.forEach((leaf) => fold.append(parseEntry(leaf), leaf));
    fold.manifests[0].states.set([0, 1, 2, 3, 4, 5, 6]);
    fold.manifests[0].counts.fill(1);
    const before = ledger.leaves.length;
    apply[kind](ledger);
    ledger.leaves.slice(before).forEach((leaf) => fold.append(parseEntry(leaf), leaf));
    assert.deepEqual(Array.from(fold.manifests[0].states, (state) => STATES[state]), expected, kind);
  }
});

const other = new Key(ORIGIN, 77);
const otherOrigin = ORIGIN.replace('acme', 'other');

test('an entry of the greatest size and the most ranges is accepted', () => {
  const ledger = new Ledger().genesis().sealed(Array.from({ length: 8192 }, (_, i) => line(String(i).padStart(5, '0'))));
  ledger.about('forgotten', 1, { indexes: Array.from({ length: 4096 }, (_, i) => 2 * i).join(',') });
  const fold = new Fold();
  ledger.leaves.forEach((leaf) => fold.append(parseEntry(leaf), leaf));
  assert.equal(fold.manifests[0].counts[STATES.indexOf('forgotten')], 4096);
});

test('a key that is assigned again continues its receipts', () => {
  const ledger = short().delivered(1, '0');
  const first = ledger.agent;
  ledger.assigned(new Key(`${ORIGIN}/agent/0011223344556677`, 9)).delivered(1, '1').assigned(first).lost(1, '0');
  assert.deepEqual(problems(ledger.write(folder())), []);
});

test('agent keys that no agreement vouches for must be known', () => {
  const ledger = short();
  const first = ledger.agent;
  ledger.assigned(new Key(`${ORIGIN}/agent/0011223344556677`, 9)).delivered(1, '1');
  const second = ledger.agent;
  const early = Object.assign(short(), { leaves: ledger.leaves }).agreedHead(3);
  const text = ledger.checkpoint();
  const cases = [
    [ledger.agreedHead(), [second], true], [ledger.agreedHead(), [first], false], [ledger.agreedHead(), [first, second], true],
    [early, [second], false], [early, [first], false], [early, [first, second], true],
    [Buffer.from(`${text}\n${ledger.server.line(text)}`), [second], false], [Buffer.from(`${text}\n${ledger.server.line(text)}`), [first, second], true],
  ];
  for (const [head, keys, accepted] of cases) {
    const found = problems(ledger.write(folder(), head), { agentFingerprints: keys.map((key) => key.fingerprint) });
    assert.deepEqual(found, accepted ? [] : ['ledger.txt FINGERPRINT']);
  }
});

test('no changed bit of an entry is accepted', () => {
  const { ledger } = everyKind();
  const fold = new Fold();
  ledger.leaves.forEach((leaf, i) => {
    for (let at = i % 5; at < leaf.length; at += 5) {
      const changed = Buffer.from(leaf);
      changed[at] ^= 1 << ((at + i) % 8);
      assert.throws(() => fold.append(parseEntry(changed), changed), undefined, `entry ${i}, byte ${at}`);
    }
    for (const changed of [leaf.subarray(0, -1), leaf.subarray(1), Buffer.concat([leaf, Buffer.from('\n')]), Buffer.concat([leaf, Buffer.from('x')]),
      Buffer.concat([Buffer.from('\ufeff'), leaf]), Buffer.concat([leaf, leaf]), Buffer.from(leaf.toString().replaceAll('\n', '\r\n'))]) {
      assert.throws(() => fold.append(parseEntry(changed), changed), undefined, `entry ${i}`);
    }
    fold.append(parseEntry(leaf), leaf);
  });
});

test('entries out of order, twice or left out are refused', () => {
  const { ledger } = everyKind();
  for (let i = 0; i < ledger.leaves.length - 1; i += 1) {
    const swapped = [...ledger.leaves];
    [swapped[i], swapped[i + 1]] = [swapped[i + 1], swapped[i]];
    for (const leaves of [swapped, ledger.leaves.toSpliced(i, 1), ledger.leaves.toSpliced(i, 0, ledger.leaves[i])]) {
      const changed = Object.assign(new Ledger(), { leaves, manifests: ledger.manifests });
      assert.notDeepEqual(problems(changed.write(folder(), ledger.agreedHead())), []);
    }
  }
});

test('the head must be that of the entries, signed by both', () => {
  const ledger = short().delivered(1, '0');
  const text = ledger.checkpoint();
  const signed = ledger.server.line(text);
  const cosigned = ledger.agent.cosignature(text);
  const cases = [
    [[], `${text}\n${signed}`],
    [[], ledger.agreedHead(2)],
    ['SIGNATURE', ledger.agreedHead(1)],
    ['SIGNATURE', `${text}\n${cosigned}`],
    ['SIGNATURE', `${text}\n${cosigned}${signed}`],
    ['SIGNATURE', `${text}\n${signed}${signed}`],
    ['SIGNATURE', `${text}\n${signed}${cosigned}${cosigned}`],
    ['SIGNATURE', `${text}\n${signed}${ledger.agent.line(text)}`],
    ['SIGNATURE', `${text}\n${signed}${other.cosignature(text)}`],
    ['SIGNATURE', `${text}\n${other.line(text)}`],
    ['TEXT', `${text}extra\n\n${signed}`],
    ['TEXT', `${text}\n${signed.trimEnd()}`],
    ['TEXT', `${text}\n${signed.replace(/.=*\n$/, (end) => `*${end.slice(1)}`)}`],
    ['TEXT', text],
    ['SIZE', ledger.agreedHead(4).toString().replace('\n4\n', '\n5\n')],
    ['SIGNATURE', ledger.agreedHead(4).toString().replace('\n4\n', '\n3\n')],
    ['TEXT', ledger.agreedHead(4).toString().replace('\n4\n', '\n04\n')],
    ['ORIGIN', new Ledger(otherOrigin).genesis().agreedHead()],
  ];
  for (const [reason, head] of cases) {
    assert.deepEqual(problems(ledger.write(folder(), Buffer.from(head))), [reason].flat().map((code) => `head.txt ${code}`));
  }
  const forked = short().delivered(1, '1');
  assert.deepEqual(problems(ledger.write(folder(), forked.agreedHead())), ['head.txt ROOT']);
  const dir = ledger.write(folder());
  rmSync(join(dir, 'head.txt'));
  assert.deepEqual(problems(dir), ['head.txt MISSING']);
});

test('the framing of ledger.txt is exact', () => {
  const dir = short().write(folder());
  const file = join(dir, 'ledger.txt');
  const bytes = readFileSync(file);
  const cases = [
    ['entry 0 ', 'entry 1 ', 'ledger.txt 0 TEXT'], ['entry 0 ', 'entry 00 ', 'ledger.txt 0 TEXT'], ['entry 0 ', 'Entry 0 ', 'ledger.txt 0 TEXT'],
    [/entry 0 \d+/, 'entry 0 65537', 'ledger.txt 0 LIMIT'], [/entry 0 \d+/, 'entry 0 60000', 'ledger.txt 0 TEXT'],
  ];
  for (const [from, to, expected] of cases) {
    writeFileSync(file, bytes.toString().replace(from, to));
    assert.equal(problems(dir).find((problem) => problem.startsWith('ledger')), expected);
  }
  writeFileSync(file, '');
  assert.equal(problems(dir)[0], 'ledger.txt 0 GENESIS');
});

test('manifest files must be those that were sealed', () => {
  const cases = [
    ['ITEMS', (lines) => lines.slice(0, 1)],
    ['ITEMS', (lines) => [...lines, line('z')]],
    ['BYTES', (lines) => [lines[0].replace(' 100 ', ' 101 '), lines[1]]],
    ['ROOT', (lines) => [lines[0].replace(' gsm ', ' mp3 '), lines[1]]],
    ['ORDER', (lines) => lines.toReversed()],
    ['ORDER', (lines) => [lines[0], lines[0]]],
    ['FORGOTTEN', (lines) => [`forgotten ${sha256(Buffer.from([0]), lines[0]).toString('hex')}`, lines[1]]],
    ['TEXT', (lines) => [`${lines[0]} `, lines[1]]],
    ['LIMIT', (lines) => [`${lines[0]}${'x'.repeat(17000)}`, lines[1]]],
  ];
  for (const [reason, change] of cases) {
    const ledger = short();
    ledger.manifests[0] = change(ledger.manifests[0]);
    assert.deepEqual(problems(ledger.write(folder())), [`manifests/1.txt ${reason}`]);
  }
  const dir = short().write(folder());
  writeFileSync(join(dir, 'manifests', '2.txt'), '');
  assert.deepEqual(problems(dir), ['manifests/2.txt MANIFEST']);
  rmSync(join(dir, 'manifests', '2.txt'));
  rmSync(join(dir, 'manifests', '1.txt'));
  assert.deepEqual(problems(dir), ['manifests/1.txt MISSING']);
});

test('a path repeats in no manifest, folded', () => {
  for (const [first, second] of [['a', 'A'], ['stra%c3%9fe', 'STRASSE'], ['%ef%ac%81le', 'FILE'], ['n%cc%83', '%c3%91'], ['%cf%83%cf%82', '%ce%a3%ce%a3']]) {
    const ledger = new Ledger().genesis().assigned().sealed([line(first)]).sealed([line('x')]).sealed([line(second)]);
    ledger.about('withdrawn', 1, { indexes: '0', reason: 'name', replacement: '-' });
    assert.deepEqual(problems(ledger.write(folder())), ['manifests/3.txt PATH'], `${first} ${second}`);
  }
  const apart = new Ledger().genesis().assigned().sealed([line('i')]).sealed([line('%c4%b1')]).sealed([line('%c4%b0')]);
  assert.deepEqual(problems(apart.write(folder())), []);
});

test('a manifest of very many lines is checked in little memory', () => {
  const items = 60000;
  const ledger = new Ledger().genesis().assigned();
  ledger.sealed(Array.from({ length: items }, (_, i) => line(`p/${String(i).padStart(7, '0')}`, 1, { digest: '0'.repeat(64) })));
  const dir = ledger.delivered(1, `0-${items - 1}`).write(folder());
  const out = execFileSync(process.execPath, ['--max-old-space-size=24', VERIFY, 'ledger', dir, '--output', 'json']);
  assert.equal(JSON.parse(out).totals.counts.confirmed, items);
});
