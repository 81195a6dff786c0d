/** Tests of proofs: what they show, and that no changed one is accepted. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Key, Ledger, ORIGIN, everyKind, line, merklePath, merkleRoot } from './generate.mjs';
import { checkLedger, findItems } from './ledger.mjs';
import { checkProof, writeProof } from './proof.mjs';

const VERIFY = new URL('verify.mjs', import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), 'verifier-'));
let folders = 0;
after(() => rmSync(root, { recursive: true }));

/** Writes a ledger to a new folder and checks it. */
function check(ledger, head) {
  folders += 1;
  const checked = checkLedger(ledger.write(join(root, String(folders)), head), {});
  assert.deepEqual(checked.problems, []);
  return checked;
}

/** A proof written straight from the text of 1.7. */
function proofOf(ledger, manifest, index, positions, head = ledger.agreedHead(), leaves = ledger.leaves) {
  const lines = ledger.manifests[manifest - 1].map((text) => Buffer.from(text));
  const hashes = (path) => path.map((hash) => `${hash.toString('hex')}\n`).join('');
  const linePath = merklePath(index, lines);
  return Buffer.concat([
    Buffer.from(`wolkvox-backup proof v1\nline-index ${index}\nline ${lines[index]}\nline-path ${linePath.length}\n${hashes(linePath)}entries ${positions.length}\n`),
    ...positions.flatMap((position) => {
      const path = merklePath(position, leaves);
      return [Buffer.from(`entry ${position} ${leaves[position].length} ${path.length}\n`), leaves[position], Buffer.from(hashes(path))];
    }),
    Buffer.from(`head ${head.length}\n`), head,
  ]);
}

/** A ledger with two manifests of two items: entries 0 genesis, 1 assigned, 2 and 3 sealed, 4 to 6 delivered. */
function small() {
  const ledger = new Ledger().genesis().assigned().sealed([line('a'), line('b')]).sealed([line('c'), line('d')]);
  return ledger.delivered(1, '0').delivered(2, '0').delivered(1, '1');
}

test('a proof of every item shows the state of the ledger', () => {
  const { ledger, states } = everyKind();
  const checked = check(ledger);
  for (const [i, manifest] of states.entries()) {
    for (const [index, state] of manifest.entries()) {
      if (state === 'forgotten') continue;
      const [item] = findItems(checked, `${i + 1}/${index}`);
      const shown = checkProof(writeProof(checked, item), {});
      assert.deepEqual([shown.manifest, shown.proof.lineIndex, shown.state], [i + 1, index, state]);
    }
  }
});

test('a written proof has the bytes of the text', () => {
  const ledger = small();
  const checked = check(ledger);
  assert.deepEqual(writeProof(checked, findItems(checked, '1/1')[0]), proofOf(ledger, 1, 1, [0, 1, 2, 6]));
});

test('a proof ends at the agreed head', () => {
  const ledger = small();
  const checked = check(ledger, ledger.agreedHead(4));
  assert.equal(checkProof(writeProof(checked, findItems(checked, 'a')[0]), {}).state, 'pending');
  const early = check(ledger, ledger.agreedHead(3));
  assert.throws(() => writeProof(early, findItems(early, 'c')[0]), { reason: 'MANIFEST' });
});

test('a proof with other entries than those of the text is refused', () => {
  const ledger = small();
  assert.equal(checkProof(proofOf(ledger, 1, 1, [0, 1, 2, 6]), {}).state, 'confirmed');
  const cases = [
    ['TEXT', [0, 1, 2, 4, 6]], ['TEXT', [0, 1, 2, 5, 6]], ['TEXT', [0, 1, 2, 3, 6]], ['TEXT', [0, 1, 6, 2]], ['TEXT', [0, 0, 1, 2, 6]],
    ['GENESIS', [1, 2, 6]], ['GENESIS', []], ['MANIFEST', [0, 1]], ['KEY', [0, 2, 6]], ['SIGNATURE', [0, 2]], ['TEXT', [0, 1, 6]], ['PATH', [0, 1, 3]],
  ];
  for (const [reason, positions] of cases) {
    assert.throws(() => checkProof(proofOf(ledger, 1, 1, positions), {}), (error) => error.reason === reason || assert.fail(`${positions}: ${error.stack}`));
  }
});

test('a proof needs an agreed head over its entries', () => {
  const ledger = small();
  const text = ledger.checkpoint();
  const positions = [0, 1, 2, 6];
  const heads = [
    ['SIGNATURE', `${text}\n${ledger.server.line(text)}`],
    ['SIGNATURE', `${text}\n${ledger.server.line(text)}${new Key(`${ORIGIN}/agent/00112233aabbccdd`, 9).cosignature(text)}`],
    ['PATH', ledger.agreedHead(6)],
    ['PATH', small().delivered(2, '1').agreedHead(7).toString().replace('\n7\n', '\n8\n')],
  ];
  for (const [reason, head] of heads) {
    assert.throws(() => checkProof(proofOf(ledger, 1, 1, positions, Buffer.from(head)), {}), { reason });
  }
});

test('an erased line cannot be proved', () => {
  const ledger = new Ledger().genesis().assigned().sealed([line('a'), line('b')]).about('forgotten', 1, { indexes: '0' });
  const proof = proofOf(ledger, 1, 0, [0, 1, 2, 3]).toString('latin1');
  assert.equal(checkProof(Buffer.from(proof, 'latin1'), {}).state, 'forgotten');
  const erased = `forgotten ${merkleRoot([Buffer.from(line('a'))]).toString('hex')}`;
  assert.throws(() => checkProof(Buffer.from(proof.replace(`line ${line('a')}`, `line ${erased}`), 'latin1'), {}), { reason: 'FORGOTTEN' });
  ledger.manifests[0][0] = erased;
  const checked = check(ledger);
  assert.throws(() => writeProof(checked, findItems(checked, '1/0')[0]), { reason: 'FORGOTTEN' });
});

test('fingerprints are compared', () => {
  const ledger = small();
  const bytes = proofOf(ledger, 1, 1, [0, 1, 2, 6]);
  const [serverFingerprint, agentFingerprint] = [ledger.server.fingerprint, ledger.agent.fingerprint];
  assert.doesNotThrow(() => checkProof(bytes, { serverFingerprint, agentFingerprints: [agentFingerprint] }));
  assert.throws(() => checkProof(bytes, { serverFingerprint: agentFingerprint }), { reason: 'FINGERPRINT' });
  assert.throws(() => checkProof(bytes, { agentFingerprints: [serverFingerprint] }), { reason: 'FINGERPRINT' });
});

test('no changed bit, no shorter and no longer proof is accepted', () => {
  const bytes = proofOf(small(), 1, 1, [0, 1, 2, 6]);
  for (let at = 0; at < bytes.length; at += 7) {
    const changed = Buffer.from(bytes);
    changed[at] ^= 1 << (at % 8);
    assert.throws(() => checkProof(changed, {}), undefined, `byte ${at}`);
    assert.throws(() => checkProof(bytes.subarray(0, at), {}), undefined, `cut at ${at}`);
  }
  for (const more of ['\n', 'x', bytes]) assert.throws(() => checkProof(Buffer.concat([bytes, Buffer.from(more)]), {}), { reason: 'TEXT' });
});

test('the command line writes and checks a proof', () => {
  const dir = check(small()).dir;
  const run = (...args) => spawnSync(process.execPath, [VERIFY, ...args], { encoding: 'buffer' });
  const written = run('prove', dir, 'b');
  assert.equal(written.status, 0, written.stderr.toString());
  const file = join(root, 'proof.txt');
  writeFileSync(file, written.stdout);
  const checked = run('proof', file);
  assert.equal(checked.status, 0, checked.stderr.toString());
  assert.match(checked.stdout.toString(), /^state +confirmed$/m);
  assert.match(checked.stdout.toString(), /^It cannot show /m);
  writeFileSync(file, written.stdout.subarray(1));
  assert.equal(run('proof', file).status, 1);
  assert.match(run('proof', file).stderr.toString(), /^refused: TEXT: /);
  const ledger = small();
  const text = ledger.checkpoint();
  const unagreed = check(ledger, Buffer.from(`${text}\n${ledger.server.line(text)}`)).dir;
  assert.equal(run('prove', unagreed, 'b').status, 1);
});
