/** Tests of what witnesses signed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Key, Ledger, ORIGIN, line } from './generate.mjs';
import { checkLedger } from './ledger.mjs';
import { checkWitnesses, witnessKey } from './witness.mjs';

const VERIFY = new URL('verify.mjs', import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), 'verifier-'));
let folders = 0;
after(() => rmSync(root, { recursive: true }));

const W1 = new Key('witness.example/w1', 11);
const W2 = new Key('witness.example/w2', 12);
const OLD = new Key(ORIGIN, 1);

/** The key of a witness. */
function keyText(key) {
  return `${key.name}+${key.id(4).toString('hex')}+${Buffer.concat([Buffer.from([4]), key.publicKey]).toString('base64')}`;
}

/** A ledger of six entries; its server's key is new from the fifth on. */
function genuine() {
  return new Ledger().genesis().assigned().sealed([line('a'), line('b')]).delivered(1, '0').rekeyed(new Key(ORIGIN, 3)).delivered(1, '1');
}

/** A note of witnesses, framed. */
function framed(text, server, ...cosignatures) {
  const note = `${text}\n${server.line(text)}${cosignatures.join('')}`;
  return `witness ${Buffer.byteLength(note)}\n${note}`;
}

/** Writes an export with a witness.txt. */
function written(ledger, witnesses) {
  folders += 1;
  const dir = ledger.write(join(root, String(folders)));
  if (witnesses !== null) writeFileSync(join(dir, 'witness.txt'), witnesses);
  return dir;
}

/** Checks a witness.txt with the keys of both witnesses. */
function check(ledger, witnesses) {
  const checked = checkLedger(written(ledger, witnesses), {});
  assert.deepEqual(checked.problems, []);
  return checkWitnesses(checked, [witnessKey(keyText(W1)), witnessKey(keyText(W2))]);
}

test('what witnesses signed is shown', () => {
  const ledger = genuine();
  const [early, late] = [ledger.checkpoint(4), ledger.checkpoint()];
  const stranger = new Key('stranger.example', 13);
  const found = check(ledger, framed(early, OLD, W1.cosignature(early, 1740000000)) + framed(late, ledger.server, W2.cosignature(late), stranger.cosignature(late)));
  assert.deepEqual(found.map(({ name, known, size }) => [name, known, size]), [[W1.name, true, 4], [W2.name, true, 6], [stranger.name, false, 6]]);
  assert.equal(found[0].time, '2025-02-19T21:20:00Z');
  assert.deepEqual(check(genuine(), null), []);
  assert.deepEqual(check(genuine(), ''), []);
});

test('what contradicts the ledger is refused', () => {
  const ledger = genuine();
  const text = ledger.checkpoint();
  const longer = genuine().delivered(1, '0');
  const fork = genuine();
  fork.leaves.pop();
  fork.delivered(1, '0');
  const good = framed(text, ledger.server, W1.cosignature(text));
  const cases = {
    SIZE: [framed(longer.checkpoint(), ledger.server, W1.cosignature(longer.checkpoint()))],
    ROOT: [framed(fork.checkpoint(), ledger.server, W1.cosignature(fork.checkpoint()))],
    ORIGIN: [framed(text.replace('/acme/', '/acne/'), new Key(ORIGIN.replace('/acme/', '/acne/'), 3), W1.cosignature(text))],
    SIGNATURE: [
      framed(text, OLD, W1.cosignature(text)), framed(text, ledger.server), framed(text, ledger.server, W1.cosignature(longer.checkpoint())), good + good,
      framed(text, ledger.server, W1.cosignature(text), W1.cosignature(text)), framed(text, ledger.server, new Key(W1.name, 11).cosignature(text).replace(/.{8}\n$/, 'AAAAAAA=\n')),
    ],
    TEXT: [`x${good}`, good.slice(0, -1), `${good}x`, good.replace('witness ', 'witness 0'), good.replace('witness', 'witnes'), `${good}witness`, `${good}\n`],
  };
  for (const [reason, texts] of Object.entries(cases)) {
    texts.forEach((witnesses, i) => assert.throws(() => check(genuine(), witnesses), (error) => error.reason === reason || assert.fail(`${reason} ${i}: ${error.stack}`)));
  }
});

test('no bit of a witness.txt can be changed', () => {
  const ledger = genuine();
  const text = ledger.checkpoint();
  const good = Buffer.from(framed(text, ledger.server, W1.cosignature(text)));
  const checked = checkLedger(written(ledger, good), {});
  const accepted = [];
  for (let bit = 0; bit < 8 * good.length; bit += 1) {
    const changed = Buffer.from(good);
    changed[bit >> 3] ^= 1 << (bit & 7);
    writeFileSync(join(checked.dir, 'witness.txt'), changed);
    try {
      if (checkWitnesses(checked, [witnessKey(keyText(W1))]).some(({ known }) => known)) accepted.push(bit);
    } catch (error) {
      if (error.reason === undefined) throw error;
    }
  }
  assert.deepEqual(accepted, []);
});

test('keys of other forms are none', () => {
  for (const text of ['', 'a', W1.verifier, keyText(W1).replace('w1', 'w2'), `${keyText(W1)}+`, keyText(W1).slice(0, -1)]) {
    assert.throws(() => witnessKey(text), { reason: 'TEXT' }, text);
  }
});

test('the command line shows which witness signed what', () => {
  const ledger = genuine();
  const text = ledger.checkpoint();
  const dir = written(ledger, framed(text, ledger.server, W1.cosignature(text)));
  const run = (...args) => spawnSync(process.execPath, [VERIFY, 'witness', dir, ...args], { encoding: 'utf8' });
  assert.match(run().stdout, /w1: not compared/);
  const known = run('--witness', keyText(W1));
  assert.equal(known.status, 0, known.stderr);
  assert.match(known.stdout, /witness\.example\/w1 signed 6 entries at 2025-/);
  const both = run('--witness', keyText(W1), '--witness', keyText(W2));
  assert.equal(both.status, 1);
  assert.match(both.stdout, /w2 signed nothing here/);
  assert.equal(run('--witness', 'x').status, 1);
});
