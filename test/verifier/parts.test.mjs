/** Tests of the parts: trees, text forms, manifest lines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as forms from './forms.mjs';
import { line, merklePath, merkleRoot } from './generate.mjs';
import { parseLine } from './manifest.mjs';
import { HashList, Tree, auditPaths, leafHash, rootFromPath } from './tree.mjs';

test('trees have the roots of the reference implementation of RFC 6962', () => {
  const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
  const roots = {
    0: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    1: '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    2: 'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    8: '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  };
  for (const [size, root] of Object.entries(roots)) {
    const tree = new Tree();
    leaves.slice(0, Number(size)).forEach((leaf) => tree.append(leafHash(Buffer.from(leaf, 'hex'))));
    assert.equal(tree.root().toString('hex'), root);
  }
});

test('audit paths are those of RFC 6962 and lead to the root', () => {
  for (let size = 1; size <= 40; size += 1) {
    const leaves = Array.from({ length: size }, (_, i) => Buffer.from(`leaf ${i}`));
    const list = new HashList();
    const tree = new Tree();
    for (const leaf of leaves) {
      list.push(leafHash(leaf));
      tree.append(leafHash(leaf));
    }
    assert.deepEqual(tree.root(), merkleRoot(leaves));
    const paths = auditPaths(list, size, leaves.map((_, i) => i));
    paths.forEach((path, i) => {
      assert.deepEqual(path, merklePath(i, leaves));
      assert.deepEqual(rootFromPath(leafHash(leaves[i]), i, size, path), tree.root());
      assert.equal(rootFromPath(leafHash(leaves[i]), i, size, [...path, path[0] ?? tree.root()]), null);
      if (path.length > 0) assert.equal(rootFromPath(leafHash(leaves[i]), i, size, path.slice(1)), null);
      assert.equal(rootFromPath(leafHash(leaves[i]), size, size, path), null);
    });
  }
});

test('text forms accept their canonical spelling alone', () => {
  const cases = [
    [forms.decimal, ['0', '7', '9007199254740991'], ['', '00', '01', '-1', '+1', '1 ', '1.0', '1e3', '９', '9007199254740992', '9007199254740993']],
    [forms.hash, ['ab'.repeat(32)], ['', 'AB'.repeat(32), 'ab'.repeat(31), `${'ab'.repeat(32)}0`]],
    [forms.time, ['1970-01-01T00:00:00Z', '2024-02-29T23:59:59Z', '9999-12-31T23:59:59Z'],
      ['2023-02-29T00:00:00Z', '2024-02-29T23:59:60Z', '2024-02-29T24:00:00Z', '2024-02-29 00:00:00Z', '2024-02-29T00:00:00', '2024-02-29T00:00:00.0Z',
        '1969-12-31T23:59:59Z', '2024-2-29T00:00:00Z', '2024-13-01T00:00:00Z', '10000-01-01T00:00:00Z', '2024-02-29T00:00:00z']],
    [forms.date, ['1970-01-01', '2000-02-29', '9999-12-31'], ['1900-02-29', '2100-02-29', '2024-04-31', '2024-00-01', '2024-01-00', '0000-01-01']],
    [forms.code, ['a', 'a-b', 'a1-2', 'a'.repeat(32)], ['', '1a', 'a-', '-a', 'a--b', 'A', 'a_b', 'a'.repeat(33)]],
    [forms.origin, [`wolkvox.com/backup/a-1/0/${'0'.repeat(32)}`],
      ['', `wolkvox.com/backup/a/b/${'0'.repeat(31)}`, `wolkvox.com/backup/a/b/${'A'.repeat(32)}`, `wolkvox.com/backup/a/${'0'.repeat(32)}`,
        `wolkvox.com/backup/a/b/${'0'.repeat(32)}/`, `wolkvox.com/backup/${'a'.repeat(41)}/b/${'0'.repeat(32)}`, `other.com/backup/a/b/${'0'.repeat(32)}`]],
    [forms.indexes, ['0', '0-1', '0,2', '0-1,3-9,3999999'], ['', ',', '0,', '1-1', '2-1', '0,1', '0-1,2', '0-5,3', '3,0', '00', '0 -1', '0--1', '1-2-3', '0-9007199254740992']],
    [forms.base64, ['AA==', 'AAA=', 'AAAA'], ['', 'AA', 'AB==', 'AAB=', 'AA=', 'AAAA\n', 'AA-_', 'AAAA====']],
    [(text) => forms.unescape(text, 4), ['a', '%20', '%25', '%2d', '--', '%ff%00%7f', 'a%c3%b1'], ['', '-', '%', '%2', '%2D', '%41', 'a%2d', 'a b', 'ñ', '%fF', 'abcde']],
  ];
  for (const [form, accepted, refused] of cases) {
    for (const text of accepted) assert.doesNotThrow(() => form(text), `${form.name} ${text}`);
    for (const text of refused) assert.throws(() => form(text), forms.Refusal, `${form.name} ${text}`);
  }
});

test('manifest lines are refused unless canonical and portable', () => {
  const digest = 'ab'.repeat(32);
  const path = 'x'.repeat(200);
  const accepted = [
    line('a'), line('%2d'), line('a/b c'.replace(' ', '%20')), line(`${path}/${path}/${path}/${'x'.repeat(197)}`), line('CON1'), line('COMX/a'), line('a/.wolkvox'),
    line('a', 0, { kind: 'chat', recorded: '-', interaction: '-' }), line('a', 9007199254740991), line('a', 1, { source: '%00%ff' }),
    line('a', 1, { source: '%2d' }), line('%25'), line('%c3%b1'), `forgotten ${digest}`,
  ];
  const refused = [
    '', line('a').replace(' ', '  '), `${line('a')} `, line('-'), line('%61'), line('a').replace('gsm', 'wav'), line('a', '01'), line('a', '9007199254740992'),
    line('a', 1, { digest: digest.toUpperCase() }), line('a', 1, { recorded: '2025-02-30T00:00:00Z' }), line('a', 1, { source: 'a' }),
    line('a', 1, { interaction: 'x'.repeat(129) }), line('a', 1, { source: 'x'.repeat(4097) }), line('x'.repeat(201)),
    line(`${path}/${path}/${path}/${'x'.repeat(198)}`), line('/a'), line('a/'), line('a//b'), line('.'), line('a/..'), line('a.'), line('a%20'), line('%20a'),
    line('a%01'), line('a%7f'), line('a:b'), line('a\\b'), line('a<'), line('a>'), line('a"'), line('a|'), line('a?'), line('a*'), line('%ff'), line('%c0%80'),
    line('%ed%a0%80'), line('con'), line('a/NUL.gsm'), line('Com%c2%b9.x.y'), line('lpt0'), line('aux%20%20.gsm'), line('conin$'), line('CONOUT$.a'),
    line('.wolkvox'), line('.WolkVox-x/a'), `forgotten ${digest} `, `forgotten ${digest.slice(1)}`,
  ];
  for (const text of accepted) assert.doesNotThrow(() => parseLine(Buffer.from(text)), text);
  for (const text of refused) assert.throws(() => parseLine(Buffer.from(text)), forms.Refusal, text);
});
