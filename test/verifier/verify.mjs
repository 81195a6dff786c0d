#!/usr/bin/env node
/** Checks exported ledgers and proofs without the software of either party. See README.md. */
import { readFileSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Refusal } from './forms.mjs';
import { STATES } from './fold.mjs';
import { checkLedger, entriesNaming, findItems } from './ledger.mjs';
import { checkEvidence, humanEvidence, summariseEvidence } from './evidence.mjs';
import { checkProof, writeProof } from './proof.mjs';
import { checkWitnesses, humanWitnesses, witnessKey } from './witness.mjs';
import { entryLine, humanLedger, humanProof, problemLine, summarise } from './report.mjs';

const VALID = 0;
const REFUSED = 1;
const USAGE = 2;
const LINES_PER_WRITE = 4096;

const HELP = `usage:
  node verify.mjs ledger DIR [--server-fingerprint HEX] [--agent-fingerprint HEX]... [--output human|json]
  node verify.mjs state DIR PATH|MANIFEST/INDEX
  node verify.mjs states DIR
  node verify.mjs prove DIR PATH|MANIFEST/INDEX > FILE
  node verify.mjs evidence DIR [--server-fingerprint HEX] [--agent-fingerprint HEX]... [--output human|json]
  node verify.mjs proof FILE [--server-fingerprint HEX] [--agent-fingerprint HEX]...
  node verify.mjs witness DIR [--witness KEY]...
`;

/** The command line is wrong. */
class UsageError extends Error {}

/** The commands: how many arguments each takes, which options, and what it does. */
const COMMANDS = {
  ledger: { count: 1, options: ['server-fingerprint', 'agent-fingerprint', 'output'], run: ledger },
  state: { count: 2, options: [], run: state },
  states: { count: 1, options: [], run: states },
  prove: { count: 2, options: [], run: prove },
  evidence: { count: 1, options: ['server-fingerprint', 'agent-fingerprint', 'output'], run: evidence },
  proof: { count: 1, options: ['server-fingerprint', 'agent-fingerprint'], run: proof },
  witness: { count: 1, options: ['witness'], run: witness },
};

/**
 * Runs the command line.
 * @param {string[]} args the arguments
 * @returns {number} the exit code
 */
function main(args) {
  try {
    const { command, positionals, options } = parseCommand(args);
    return command.run(...positionals, options);
  } catch (error) {
    if (error instanceof Refusal) {
      process.stderr.write(`refused: ${error.reason}: ${error.message}\n`);
      return REFUSED;
    }
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n${HELP}`);
      return USAGE;
    }
    if (error.syscall !== undefined) {
      process.stderr.write(`cannot read: ${error.message}\n`);
      return USAGE;
    }
    throw error;
  }
}

/**
 * Parses the command line.
 * @param {string[]} args the arguments
 * @returns {{command: object, positionals: string[], options: object}} what to run
 */
function parseCommand(args) {
  const [name, ...rest] = args;
  if (!Object.hasOwn(COMMANDS, name ?? '')) throw new UsageError(name === undefined ? 'no command' : `unknown command ${name}`);
  const command = COMMANDS[name];
  const known = {
    'server-fingerprint': { type: 'string' },
    'agent-fingerprint': { type: 'string', multiple: true },
    output: { type: 'string' },
    witness: { type: 'string', multiple: true },
  };
  let parsed;
  try {
    parsed = parseArgs({
      args: rest,
      allowPositionals: true,
      options: Object.fromEntries(command.options.map((option) => [option, known[option]])),
    });
  } catch (error) {
    throw new UsageError(error.message);
  }
  const { values, positionals } = parsed;
  if (positionals.length !== command.count) throw new UsageError(`${name} takes ${command.count} argument(s)`);
  const options = {
    serverFingerprint: values['server-fingerprint'],
    agentFingerprints: values['agent-fingerprint'] ?? [],
    output: values.output ?? 'human',
    witnesses: values.witness ?? [],
  };
  for (const fingerprint of [options.serverFingerprint ?? '0'.repeat(64), ...options.agentFingerprints]) {
    if (!/^[0-9a-f]{64}$/.test(fingerprint)) throw new UsageError('a fingerprint is 64 characters 0-9 and a-f');
  }
  if (options.output !== 'human' && options.output !== 'json') throw new UsageError('the output is human or json');
  return { command, positionals, options };
}

/**
 * Checks an exported ledger and prints what it says.
 * @param {string} dir the export's folder
 * @param {object} options the fingerprints and the output
 * @returns {number} the exit code
 */
function ledger(dir, options) {
  const summary = summarise(checkDir(dir, options));
  process.stdout.write(options.output === 'json' ? `${JSON.stringify(summary, null, 2)}\n` : humanLedger(summary, options));
  return summary.valid ? VALID : REFUSED;
}

/**
 * Checks the ledger in a folder, which must be there.
 * @param {string} dir the export's folder
 * @param {object} options the fingerprints
 * @returns {import('./ledger.mjs').Checked} what was found
 */
function checkDir(dir, options) {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) throw new UsageError(`${dir} is not a folder`);
  return checkLedger(dir, options);
}

/**
 * Checks an evidence folder and prints what it says.
 * @param {string} dir the folder
 * @param {object} options the fingerprints and the output
 * @returns {number} the exit code
 */
function evidence(dir, options) {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) throw new UsageError(`${dir} is not a folder`);
  const summary = summariseEvidence(checkEvidence(dir, options));
  process.stdout.write(options.output === 'json' ? `${JSON.stringify(summary, null, 2)}\n` : humanEvidence(summary, options));
  return summary.valid ? VALID : REFUSED;
}

/**
 * Checks a ledger that must be valid, and prints what is refused.
 * @param {string} dir the export's folder
 * @returns {import('./ledger.mjs').Checked | null} the ledger, null if it is not valid
 */
function validLedger(dir) {
  const checked = checkDir(dir, {});
  for (const problem of checked.problems) process.stderr.write(`${problemLine(problem)}\n`);
  return checked.problems.length === 0 ? checked : null;
}

/**
 * Prints the state of a recording and the entries that name it.
 * @param {string} dir the export's folder
 * @param {string} wanted the recording
 * @returns {number} the exit code
 */
function state(dir, wanted) {
  const checked = validLedger(dir);
  if (checked === null) return REFUSED;
  const items = findItems(checked, wanted);
  if (items.length === 0) return notFound(wanted);
  for (const item of items) {
    const name = STATES[checked.fold.manifests[item.manifest - 1].states[item.index]];
    const named = entriesNaming(checked, item);
    const lines = [`${item.manifest}/${item.index} ${name}`, item.bytes.toString('latin1'), ...named.map(entryLine)];
    process.stdout.write(`${lines.join('\n')}\n`);
  }
  return VALID;
}

/**
 * Says that a recording is not in the ledger.
 * @param {string} wanted the recording
 * @returns {number} the exit code
 */
function notFound(wanted) {
  process.stderr.write(`not found: no manifest of this ledger has ${wanted}\n`);
  return REFUSED;
}

/**
 * Prints the state of every recording.
 * @param {string} dir the export's folder
 * @returns {number} the exit code
 */
function states(dir) {
  const checked = validLedger(dir);
  if (checked === null) return REFUSED;
  checked.fold.manifests.forEach((manifest, i) => {
    for (let first = 0; first < manifest.items; first += LINES_PER_WRITE) {
      const block = manifest.states.subarray(first, first + LINES_PER_WRITE);
      process.stdout.write(Array.from(block, (value, offset) => `${i + 1} ${first + offset} ${STATES[value]}\n`).join(''));
    }
  });
  return VALID;
}

/**
 * Writes the proof of a recording to the standard output.
 * @param {string} dir the export's folder
 * @param {string} wanted the recording
 * @returns {number} the exit code
 */
function prove(dir, wanted) {
  const checked = validLedger(dir);
  if (checked === null) return REFUSED;
  const items = findItems(checked, wanted);
  if (items.length === 0) return notFound(wanted);
  if (items.length > 1) {
    const places = items.map(({ manifest, index }) => `${manifest}/${index}`).join(', ');
    process.stderr.write(`several recordings had this source path: name one of ${places}\n`);
    return REFUSED;
  }
  if (!checked.agreed) {
    process.stderr.write('no proof: nothing is agreed yet, head.txt has no cosignature of the agent\n');
    return REFUSED;
  }
  const written = writeProof(checked, items[0]);
  checkProof(written, {});
  process.stdout.write(written);
  return VALID;
}

/**
 * Checks a proof and prints what it shows.
 * @param {string} file the proof
 * @param {object} options the fingerprints
 * @returns {number} the exit code
 */
function proof(file, options) {
  process.stdout.write(humanProof(checkProof(readFileSync(file), options), options));
  return VALID;
}

/**
 * Checks what witnesses signed of a ledger, and prints it.
 * @param {string} dir the export's folder
 * @param {object} options the keys of the witnesses
 * @returns {number} the exit code
 */
function witness(dir, options) {
  const keys = options.witnesses.map(witnessKey);
  const checked = validLedger(dir);
  if (checked === null) return REFUSED;
  const { text, missing } = humanWitnesses(checkWitnesses(checked, keys), keys);
  process.stdout.write(text);
  return missing ? REFUSED : VALID;
}

process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error;
});
process.exitCode = main(process.argv.slice(2));
