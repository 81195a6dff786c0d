/** Tests that no forged proof is accepted: each forgery by name, and every bit of a genuine proof. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Key, Ledger, ORIGIN, line, merklePath, merkleRoot, note, sha256 } from './generate.mjs';
import { checkProof } from './proof.mjs';

const ANOTHER = new Key(ORIGIN, 77);
const AGENT_B = new Key(`${ORIGIN}/agent/ffffffffffffffff`, 4);

/**
 * A ledger of two nights, two keys of the server and two agents: entries 0 genesis, 1 assigned A, 2 and 3 sealed, 4 delivered 1/0-4
 * by A, 5 rekeyed, 6 assigned B, 7 lost 1/1, 8 delivered 1/1, 9 delivered 2/0-2, 10 closed 1, 11 withdrawn 1/2.
 */
function genuine() {
  const ledger = new Ledger().genesis().assigned();
  ledger.agentA = ledger.agent;
  ledger.sealed(['a', 'b', 'c', 'd', 'e'].map((name) => line(name, 100, { source: `old/${name}` }))).sealed(['f', 'g', 'h'].map((name) => line(name)));
  ledger.delivered(1, '0-4').rekeyed(new Key(ORIGIN, 3)).assigned(AGENT_B);
  ledger.lost(1, '1').delivered(1, '1').delivered(2, '0-2').closed(1, [5, 0, 0, 0, 0, 0]);
  return ledger.about('withdrawn', 1, { indexes: '2', reason: 'damaged', replacement: '-' });
}

const OF_ITEM = [0, 1, 2, 4, 5, 6, 7, 8, 10];

/** The parts of a proof, to be changed. */
function parts(ledger, { manifest = 1, index = 1, positions = OF_ITEM, size = ledger.leaves.length, head = ledger.agreedHead(size) } = {}) {
  const lines = ledger.manifests[manifest - 1].map((text) => Buffer.from(text));
  const leaves = ledger.leaves.slice(0, size);
  return {
    index, line: lines[index].toString(), linePath: merklePath(index, lines), head,
    entries: positions.map((position) => ({ index: position, leaf: leaves[position], path: merklePath(position, leaves) })),
  };
}

/** The text of a proof (1.7). */
function text({ index, line: bytes, linePath, entries, head }) {
  const hashes = (path) => path.map((hash) => `${hash.toString('hex')}\n`).join('');
  return Buffer.concat([
    Buffer.from(`wolkvox-backup proof v1\nline-index ${index}\nline ${bytes}\nline-path ${linePath.length}\n${hashes(linePath)}entries ${entries.length}\n`),
    ...entries.flatMap(({ index: at, leaf, path }) => [Buffer.from(`entry ${at} ${leaf.length} ${path.length}\n`), leaf, Buffer.from(hashes(path))]),
    Buffer.from(`head ${head.length}\n`), head,
  ]);
}

/** The fingerprints that the client wrote down. */
function trusted(ledger) {
  return { serverFingerprint: new Key(ORIGIN, 1).fingerprint, agentFingerprints: [ledger.agent.fingerprint] };
}

/** A buffer with one bit changed. */
function flipped(buffer, at) {
  const changed = Buffer.from(buffer);
  changed[at] ^= 1;
  return changed;
}

/** A leaf in which a text stands for another of the same length, its signatures as they were. */
function replaced(leaf, from, to) {
  const before = leaf.toString();
  assert.ok(before.includes(from), `${from} does not stand in the leaf`);
  return Buffer.from(before.replace(from, to));
}

/** A leaf with a bit changed in its last signature. */
function unsigned(leaf) {
  return flipped(leaf, leaf.length - 20);
}

/** A note whose last signature line has one bit of its bytes changed. */
function withBit(head, byte) {
  const lines = head.toString().split('\n');
  const at = lines.length - 2;
  const cut = lines[at].lastIndexOf(' ') + 1;
  lines[at] = lines[at].slice(0, cut) + flipped(Buffer.from(lines[at].slice(cut), 'base64'), byte).toString('base64');
  return Buffer.from(lines.join('\n'));
}

/** An agreed head over any text, by any keys. */
function headBy(checkpoint, server, agent) {
  return Buffer.from(`${checkpoint}\n${server.line(checkpoint)}${agent.cosignature(checkpoint)}`);
}

/** The branch of the log on which the last entry says something else. */
function fork(ledger) {
  const branch = genuine();
  branch.leaves.pop();
  branch.about('withdrawn', 1, { indexes: '3', reason: 'damaged', replacement: '-' });
  assert.notDeepEqual(merkleRoot(branch.leaves), merkleRoot(ledger.leaves));
  return branch;
}

/** A log by the true keys in which an illegal entry stands after the others, as if both sides had agreed on it. */
function extended(illegal) {
  const ledger = genuine();
  illegal(ledger);
  const p = parts(ledger, { positions: [...OF_ITEM, 12] });
  return p;
}

/** Signs the text of a receipt about 1/1 by any key, with the number that comes next. */
function receiptBy(ledger, key, values = {}) {
  const receipt = ledger.text('delivered', {
    manifest: 1, root: ledger.sealedRoots[0], number: 9, previous: 'ab'.repeat(32), indexes: '1', method: 'readback-sha256 uncached', brought: 'automatic', ...values,
  });
  ledger.add(note(receipt, key));
}

/** The forgeries: their names, the reason of the refusal, and what they change in the parts of a genuine proof. */
const FORGERIES = [
  // A wrong bit in every field.
  ['line: digest', 'PATH', (p) => { p.line = `${p.line[0] === 'a' ? 'b' : 'a'}${p.line.slice(1)}`; }],
  ['line: size', 'PATH', (p) => { p.line = p.line.replace(' 100 ', ' 101 '); }],
  ['line: kind', 'PATH', (p) => { p.line = p.line.replace(' gsm ', ' mp3 '); }],
  ['line: recorded time', 'PATH', (p) => { p.line = p.line.replace('T02:', 'T03:'); }],
  ['line: interaction', 'PATH', (p) => { p.line = p.line.replace('call-1', 'call-2'); }],
  ['line: path', 'PATH', (p) => { p.line = p.line.replace(' b old', ' z old'); }],
  ['line: source path', 'PATH', (p) => { p.line = p.line.replace('old/b', 'old/z'); }],
  ['line index', 'TEXT', (p) => { p.index = 0; }],
  ['line index beyond the manifest', 'TEXT', (p) => { p.index = 5; }],
  ['line path: first hash', 'PATH', (p) => { p.linePath[0] = flipped(p.linePath[0], 0); }],
  ['line path: last hash', 'PATH', (p) => { p.linePath[p.linePath.length - 1] = flipped(p.linePath.at(-1), 31); }],
  ['line path: shorter', 'PATH', (p) => { p.linePath.pop(); }],
  ['line path: longer', 'PATH', (p) => { p.linePath.push(sha256('')); }],
  ['line path: hashes swapped', 'PATH', (p) => { p.linePath.reverse(); }],
  ['entry index', 'PATH', (p) => { p.entries[8].index = 11; }],
  ['entry index beyond the head', 'PATH', (p) => { p.entries[8].index = 12; }],
  ['entry path: a hash', 'PATH', (p) => { p.entries[3].path[1] = flipped(p.entries[3].path[1], 7); }],
  ['entry path: shorter', 'PATH', (p) => { p.entries[3].path.pop(); }],
  ['entry path: of another entry', 'PATH', (p) => { p.entries[3].path = p.entries[4].path; }],
  ['genesis: window', 'PATH', (p) => { p.entries[0].leaf = replaced(p.entries[0].leaf, 'window-days 30', 'window-days 90'); }],
  ['genesis: the server\'s key', 'PATH', (p, ledger) => { p.entries[0].leaf = replaced(p.entries[0].leaf, new Key(ORIGIN, 1).verifier, ANOTHER.verifier); return ledger; }],
  ['genesis: signature', 'PATH', (p) => { p.entries[0].leaf = unsigned(p.entries[0].leaf); }],
  ['assigned: the agent\'s key', 'PATH', (p, ledger) => { p.entries[1].leaf = replaced(p.entries[1].leaf, ledger.agentA.verifier, new Key(ledger.agentA.name, 9).verifier); }],
  ['sealed: items', 'PATH', (p) => { p.entries[2].leaf = replaced(p.entries[2].leaf, 'items 5', 'items 6'); }],
  ['sealed: root', 'PATH', (p, ledger) => { p.entries[2].leaf = replaced(p.entries[2].leaf, ledger.sealedRoots[0], ledger.sealedRoots[1]); }],
  ['sealed: signature', 'PATH', (p) => { p.entries[2].leaf = unsigned(p.entries[2].leaf); }],
  ['delivered: method', 'PATH', (p) => { p.entries[3].leaf = replaced(p.entries[3].leaf, 'uncached', 'cached'); }],
  ['delivered: indexes', 'PATH', (p) => { p.entries[7].leaf = replaced(p.entries[7].leaf, 'indexes 1', 'indexes 2'); }],
  ['delivered: signature', 'PATH', (p) => { p.entries[3].leaf = unsigned(p.entries[3].leaf); }],
  ['rekeyed: the new key', 'PATH', (p) => { p.entries[4].leaf = replaced(p.entries[4].leaf, new Key(ORIGIN, 3).verifier, ANOTHER.verifier); }],
  ['closed: counts', 'PATH', (p) => { p.entries[8].leaf = replaced(p.entries[8].leaf, 'confirmed 5', 'confirmed 4'); }],
  ['head: origin', 'ORIGIN', (p, ledger) => { p.head = headBy(ledger.checkpoint().replace('/acme/', '/acmf/'), new Key(ORIGIN.replace('/acme/', '/acmf/'), 3), AGENT_B); }],
  ['head: size', 'PATH', (p) => { p.head = Buffer.from(p.head.toString().replace('\n12\n', '\n13\n')); }],
  ['head: root', 'PATH', (p, ledger) => { p.head = Buffer.from(p.head.toString().replace(merkleRoot(ledger.leaves).toString('base64'), sha256('').toString('base64'))); }],
  ['head: the server\'s signature', 'SIGNATURE', (p, ledger) => { const t = ledger.checkpoint(); p.head = Buffer.from(`${t}\n${ANOTHER.line(t)}${ledger.agent.cosignature(t)}`); }],
  ['head: time of the cosignature', 'SIGNATURE', (p) => { p.head = withBit(p.head, 11); }],
  ['head: cosignature', 'SIGNATURE', (p) => { p.head = withBit(p.head, 40); }],
  ['head: ID of the cosignature', 'SIGNATURE', (p) => { p.head = withBit(p.head, 0); }],
  ['head: not agreed', 'SIGNATURE', (p, ledger) => { const t = ledger.checkpoint(); p.head = Buffer.from(`${t}\n${ledger.server.line(t)}`); }],
  ['head: a signature more', 'SIGNATURE', (p, ledger) => { p.head = Buffer.concat([p.head, Buffer.from(new Key('witness.example', 8).cosignature(ledger.checkpoint()))]); }],
  ['head: its signatures swapped', 'SIGNATURE', (p, ledger) => { const t = ledger.checkpoint(); p.head = Buffer.from(`${t}\n${ledger.agent.cosignature(t)}${ledger.server.line(t)}`); }],
  ['head: signed by the agent instead of cosigned', 'SIGNATURE', (p, ledger) => { const t = ledger.checkpoint(); p.head = Buffer.from(`${t}\n${ledger.server.line(t)}${ledger.agent.line(t)}`); }],
  // Other nights, other recordings.
  ['the line and path of another night', 'PATH', (p, ledger) => { const o = parts(ledger, { manifest: 2, positions: [] }); p.line = o.line; p.linePath = o.linePath; }],
  ['the path of another night', 'PATH', (p, ledger) => { p.linePath = parts(ledger, { manifest: 2, positions: [] }).linePath; }],
  ['the path of another recording of the night', 'PATH', (p, ledger) => { p.linePath = parts(ledger, { index: 3, positions: [] }).linePath; }],
  ['the line of another recording', 'PATH', (p, ledger) => { p.line = parts(ledger, { index: 3, positions: [] }).line; }],
  ['the sealing of another night', 'TEXT', (p, ledger) => { Object.assign(p, { entries: parts(ledger, { positions: [0, 1, 3, 4, 5, 6, 7, 8, 10] }).entries }); }],
  ['both nights sealed', 'TEXT', (p, ledger) => { p.entries = parts(ledger, { positions: [0, 1, 2, 3, 4, 5, 6, 7, 8, 10] }).entries; }],
  ['the receipt for another night', 'TEXT', (p, ledger) => { p.entries = parts(ledger, { positions: [...OF_ITEM.slice(0, 8), 9, 10] }).entries; }],
  ['the withdrawal of another recording', 'TEXT', (p, ledger) => { p.entries = parts(ledger, { positions: [...OF_ITEM, 11] }).entries; }],
  // Entries left out, doubled, swapped.
  ['no entries', 'GENESIS', (p) => { p.entries = []; }],
  ['genesis left out', 'GENESIS', (p) => { p.entries.shift(); }],
  ['the first assignment left out', 'KEY', (p) => { p.entries.splice(1, 1); }],
  ['the second assignment left out', 'KEY', (p) => { p.entries.splice(5, 1); }],
  ['the sealing left out', 'TEXT', (p) => { p.entries.splice(2, 1); }],
  ['the new key of the server left out', 'KEY', (p) => { p.entries.splice(4, 1); }],
  ['an entry doubled', 'TEXT', (p) => { p.entries.splice(4, 0, p.entries[3]); }],
  ['the last entry doubled', 'TEXT', (p) => { p.entries.push(p.entries.at(-1)); }],
  ['two entries swapped', 'TEXT', (p) => { [p.entries[6], p.entries[7]] = [p.entries[7], p.entries[6]]; }],
  ['two entries swapped under each other\'s index', 'PATH', (p) => { [p.entries[6].leaf, p.entries[7].leaf] = [p.entries[7].leaf, p.entries[6].leaf]; }],
  // Other logs, other branches, other keys.
  ['a log cut off before its last entries', 'PATH', (p, ledger) => { p.head = headBy(ledger.checkpoint(10), ledger.server, ledger.agent); }],
  ['the head before the new keys', 'SIGNATURE', (p, ledger) => { Object.assign(p, parts(ledger, { size: 5, positions: [0, 1, 2, 4], head: headBy(ledger.checkpoint(5), ledger.server, ledger.agent) })); }],
  ['the head of another branch', 'PATH', (p, ledger) => { p.head = fork(ledger).agreedHead(); }],
  ['an entry of another branch', 'PATH', (p, ledger) => { const b = fork(ledger); p.entries = [...p.entries.slice(0, 8), ...parts(b, { positions: [10] }).entries]; }],
  ['a log of the same name by another key', 'FINGERPRINT', (p) => {
    const forged = new Ledger();
    forged.server = ANOTHER;
    forged.genesis().assigned(AGENT_B).sealed([line('a'), line('b')]).delivered(1, '1');
    Object.assign(p, parts(forged, { positions: [0, 1, 2, 3] }));
  }],
  ['a log of the true server with another agent', 'FINGERPRINT', (p) => {
    const forged = new Ledger().genesis().assigned(new Key(AGENT_B.name, 5)).sealed([line('a'), line('b')]).delivered(1, '1');
    Object.assign(p, parts(forged, { positions: [0, 1, 2, 3] }));
  }],
  ['a log of another origin', 'ORIGIN', (p) => {
    const forged = new Ledger(`${ORIGIN.slice(0, -1)}0`).genesis().assigned().sealed([line('a'), line('b')]).delivered(1, '1');
    p.entries = [...p.entries.slice(0, 1), ...parts(forged, { positions: [1, 2, 3] }).entries];
    p.head = forged.agreedHead();
    p.entries[0] = { ...p.entries[0], path: [] };
    const leaves = [p.entries[0].leaf, ...forged.leaves.slice(1)];
    p.entries.forEach((entry) => { entry.path = merklePath(entry.index, leaves); });
    const t = `${ORIGIN}\n4\n${merkleRoot(leaves).toString('base64')}\n`;
    p.head = headBy(t, new Key(ORIGIN, 1), AGENT_B);
  }],
  ['the head cosigned by the agent before', 'SIGNATURE', (p, ledger) => { p.head = headBy(ledger.checkpoint(), ledger.server, ledger.agentA); }],
  ['the head signed by the key before', 'SIGNATURE', (p, ledger) => { p.head = headBy(ledger.checkpoint(), new Key(ORIGIN, 1), ledger.agent); }],
  ['a receipt by the agent before', 'KEY', (p) => Object.assign(p, extended((ledger) => receiptBy(ledger, ledger.agentA)))],
  ['a receipt by a key that was never assigned', 'KEY', (p) => Object.assign(p, extended((ledger) => receiptBy(ledger, new Key(AGENT_B.name, 9))))],
  ['a receipt by the server', 'KEY', (p) => Object.assign(p, extended((ledger) => receiptBy(ledger, ledger.server)))],
  ['a receipt with another root', 'ROOT', (p) => Object.assign(p, extended((ledger) => receiptBy(ledger, ledger.agent, { root: ledger.sealedRoots[1] })))],
  ['a receipt beyond the manifest', 'INDEX', (p) => Object.assign(p, extended((ledger) => receiptBy(ledger, ledger.agent, { indexes: '1,5' })))],
  ['an entry of the server by the key before', 'KEY', (p) => Object.assign(p, extended((ledger) => { ledger.server = new Key(ORIGIN, 1); ledger.about('withdrawn', 1, { indexes: '1', reason: 'lost', replacement: '-' }); ledger.server = new Key(ORIGIN, 3); }))],
  ['a deadline that goes back', 'DEADLINE', (p) => Object.assign(p, extended((ledger) => ledger.about('extended', 1, { deadline: '2025-03-31T00:00:00Z', reason: 'outage' })))],
  ['the agent\'s key assigned without its consent', 'SIGNATURE', (p) => {
    Object.assign(p, extended((ledger) => ledger.add(note(ledger.assignedText(AGENT_B, ORIGIN, new Key(AGENT_B.name, 9)), ledger.server))));
  }],
  ['a second genesis', 'GENESIS', (p) => Object.assign(p, extended((ledger) => ledger.genesis()))],
];

test('the genuine proof is accepted', () => {
  const ledger = genuine();
  const shown = checkProof(text(parts(ledger)), trusted(ledger));
  assert.deepEqual([shown.manifest, shown.proof.lineIndex, shown.state], [1, 1, 'confirmed']);
});

for (const [name, reason, forge] of FORGERIES) {
  test(`forged: ${name}`, () => {
    const ledger = genuine();
    const p = parts(ledger);
    const before = text(p);
    forge(p, ledger);
    const forged = text(p);
    assert.notDeepEqual(forged, before);
    assert.throws(() => checkProof(forged, trusted(ledger)), { reason });
  });
}

test('what no proof can show: an act that was left out', () => {
  const ledger = genuine();
  const withdrawn = parts(ledger, { index: 2, positions: [0, 1, 2, 4, 5, 6, 10, 11] });
  assert.equal(checkProof(text(withdrawn), trusted(ledger)).state, 'confirmed', 'a confirmed recording stays confirmed');
  const lostAtTheEnd = genuine();
  lostAtTheEnd.lost(1, '1');
  assert.equal(checkProof(text(parts(lostAtTheEnd, { positions: [...OF_ITEM, 12] })), trusted(lostAtTheEnd)).state, 'expired');
  assert.equal(checkProof(text(parts(lostAtTheEnd)), trusted(lostAtTheEnd)).state, 'confirmed', 'the whole ledger alone shows that it was left out');
});

test('no bit of a proof can be changed', () => {
  const ledger = new Ledger().genesis().assigned().sealed(['a', 'b', 'c'].map((name) => line(name))).delivered(1, '0-2');
  const proof = text(parts(ledger, { positions: [0, 1, 2, 3] }));
  const known = { serverFingerprint: ledger.server.fingerprint, agentFingerprints: [ledger.agent.fingerprint] };
  assert.equal(checkProof(proof, known).state, 'confirmed');
  const accepted = [];
  for (let bit = 0; bit < 8 * proof.length; bit += 1) {
    const changed = Buffer.from(proof);
    changed[bit >> 3] ^= 1 << (bit & 7);
    try {
      checkProof(changed, known);
      accepted.push(bit);
    } catch (error) {
      if (error.reason === undefined) throw error;
    }
  }
  assert.deepEqual(accepted, []);
});

test('no byte of a proof can be left out or doubled', () => {
  const ledger = new Ledger().genesis().assigned().sealed(['a', 'b', 'c'].map((name) => line(name))).delivered(1, '0-2');
  const proof = text(parts(ledger, { positions: [0, 1, 2, 3] }));
  const accepted = [];
  for (let at = 0; at < proof.length; at += 1) {
    for (const changed of [Buffer.concat([proof.subarray(0, at), proof.subarray(at + 1)]), Buffer.concat([proof.subarray(0, at + 1), proof.subarray(at)]), proof.subarray(0, at)]) {
      try {
        checkProof(changed, {});
        accepted.push(at);
      } catch (error) {
        if (error.reason === undefined) throw error;
      }
    }
  }
  assert.deepEqual(accepted, []);
});
