/** What the commands print: for people, or as JSON. */
import { STATES } from './fold.mjs';

/**
 * Summarises a checked ledger.
 * @param {import('./ledger.mjs').Checked} checked the ledger
 * @returns {object} plain values, ready for JSON
 */
export function summarise(checked) {
  const { fold, head, agreed, problems } = checked;
  const manifests = fold.manifests.map(({ root, items, bytes, night, deadline, open, counts }, i) => ({
    manifest: i + 1, night, items, bytes, root, open, deadline, counts: byState(counts),
  }));
  const sum = STATES.map((_, state) => fold.manifests.reduce((total, { counts }) => total + counts[state], 0));
  return {
    valid: problems.length === 0,
    origin: fold.origin,
    genesisFingerprint: fold.genesisKey?.fingerprint ?? null,
    agentFingerprints: checked.agentKeys.map((key) => key.fingerprint),
    retired: fold.retired,
    entries: fold.size,
    head: head && { size: head.size, root: head.root.toString('hex'), agreed },
    notAgreed: fold.size - (agreed ? head.size : 0),
    manifests,
    totals: {
      manifests: manifests.length,
      items: fold.manifests.reduce((total, { items }) => total + items, 0),
      bytes: String(fold.manifests.reduce((total, { bytes }) => total + BigInt(bytes), 0n)),
      counts: byState(sum),
    },
    alarms: fold.alarms,
    problems,
  };
}

/**
 * Names counts.
 * @param {number[]} counts the counts in the order of STATES
 * @returns {Record<string, number>} the counts by state
 */
function byState(counts) {
  return Object.fromEntries(STATES.map((name, state) => [name, counts[state]]));
}

/**
 * Says what was refused.
 * @param {import('./ledger.mjs').Problem} problem the problem
 * @returns {string} one line
 */
export function problemLine({ file, entry, reason, message }) {
  const place = entry === undefined ? file : `entry ${entry}`;
  const inFile = entry === undefined ? '' : ` (${file})`;
  return `refused: ${place}: ${reason}: ${message}${inFile}`;
}

/**
 * Formats a summary for people.
 * @param {ReturnType<typeof summarise>} summary the summary
 * @param {{serverFingerprint?: string, agentFingerprints?: string[]}} trusted the fingerprints compared with
 * @returns {string} lines
 */
export function humanLedger(summary, trusted) {
  const lines = [
    `origin            ${summary.origin || '-'}`,
    ...fingerprintLines(summary.genesisFingerprint, summary.agentFingerprints, trusted),
    `entries           ${summary.entries}${summary.retired ? ', retired' : ''}`,
    '',
    ...table([
      ['manifest', 'night', 'items', 'bytes', ...STATES, 'deadline'],
      ...summary.manifests.map(({ manifest, night, items, bytes, counts, open, deadline }) => [
        manifest, night, items, bytes, ...STATES.map((name) => counts[name]), open ? deadline : 'closed',
      ]),
      ['total', '', summary.totals.items, summary.totals.bytes, ...STATES.map((name) => summary.totals.counts[name]), ''],
    ]),
    '',
    ...summary.alarms.map(({ entry, code, message }) => `alarm: entry ${entry}: ${code}: ${message}`),
  ];
  if (summary.head?.agreed) lines.push(`agreed head       ${summary.head.size} ${summary.head.root}`);
  else lines.push('agreed head       none');
  lines.push(`not yet agreed    ${summary.notAgreed} entries`);
  lines.push(...summary.problems.map(problemLine));
  const alarms = summary.alarms.length > 0 ? `, alarms: ${summary.alarms.length}` : '';
  lines.push(summary.valid ? `valid${alarms}` : `NOT VALID: ${summary.problems.length} refused${alarms}`);
  return `${lines.join('\n')}\n`;
}

/**
 * Formats the fingerprints of keys and whether they were compared.
 * @param {string | null} genesis the fingerprint of the genesis key
 * @param {string[]} agents the fingerprints of the agent's keys
 * @param {{serverFingerprint?: string, agentFingerprints?: string[]}} trusted the fingerprints compared with
 * @returns {string[]} lines
 */
function fingerprintLines(genesis, agents, { serverFingerprint, agentFingerprints = [] }) {
  const word = (fingerprint, expected) => {
    if (expected.length === 0) return 'not compared';
    return expected.includes(fingerprint) ? 'as expected' : 'NOT AS EXPECTED';
  };
  const server = serverFingerprint === undefined ? [] : [serverFingerprint];
  return [
    ...(genesis === null ? [] : [`genesis key       ${genesis} (${word(genesis, server)})`]),
    ...agents.map((agent) => `agent key         ${agent} (${word(agent, agentFingerprints)})`),
  ];
}

/**
 * Aligns the columns of a table.
 * @param {Array<Array<string | number>>} rows the rows
 * @returns {string[]} lines
 */
function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  return rows.map((row) => row.map((cell, column) => String(cell).padStart(widths[column])).join('  ').trimEnd());
}

/**
 * Formats an entry that names a recording.
 * @param {{index: number, entry: import('./entry.mjs').Entry}} named the entry
 * @returns {string} one line
 */
export function entryLine({ index, entry }) {
  const time = entry.note.text.split('\n', 3)[2].slice('time '.length);
  const details = ['method', 'brought', 'finding', 'reason', 'outcome', 'deadline', 'replacement']
    .filter((key) => entry.values[key] !== undefined && entry.values[key] !== null)
    .map((key) => ` ${key} ${entry.values[key]}`);
  return `entry ${index} ${time} ${entry.kind}${details.join('')}`;
}

/**
 * Formats what a proof shows and what it cannot show.
 * @param {import('./proof.mjs').Shown} shown the proof
 * @param {{serverFingerprint?: string, agentFingerprints?: string[]}} trusted the fingerprints compared with
 * @returns {string} lines
 */
export function humanProof(shown, trusted) {
  const { proof, manifest, state, entries, genesisKey, agentKey } = shown;
  const keys = fingerprintLines(genesisKey.fingerprint, [agentKey.fingerprint], trusted);
  const lines = [
    `line              ${proof.lineBytes.toString('latin1')}`,
    `place             ${manifest}/${proof.lineIndex}`,
    `state             ${state}`,
    `origin            ${proof.head.origin}`,
    ...keys,
    ...entries.map(entryLine),
    `agreed head       ${proof.head.size} ${proof.head.root.toString('hex')}`,
    'It shows that the line was sealed, that each of these entries stands in the log that both sides signed,',
    'and the state that they add up to.',
    'It cannot show that no further entry was left out, nor what was entered after this head: for that, check',
    'the whole ledger.',
    ...(keys.some((line) => line.endsWith('(not compared)'))
      ? ['It cannot show whose keys these are: compare the fingerprints with those written down when enrolling.'] : []),
  ];
  return `${lines.join('\n')}\n`;
}
