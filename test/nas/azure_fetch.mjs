// Fetches all recordings of a container with Azure's own library for JavaScript, so that what arrived is looked at by a program that
// shares nothing with the agent. Usage: node azure_fetch.mjs LIBRARY ENDPOINT ACCOUNT KEY CONTAINER FOLDER
import { createRequire } from "node:module";
import { mkdir } from "node:fs/promises";
import path from "node:path";

const [library, endpoint, account, key, container, folder] = process.argv.slice(2);
const { BlobServiceClient, StorageSharedKeyCredential } = createRequire(path.resolve(library, "package.json"))("@azure/storage-blob");
const service = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, key));
const client = service.getContainerClient(container);
let count = 0;
for await (const blob of client.listBlobsFlat()) {
  if (blob.name.startsWith(".wolkvox/")) continue; // the agent's own, which come and go
  const to = path.join(folder, blob.name);
  await mkdir(path.dirname(to), { recursive: true });
  await client.getBlobClient(blob.name).downloadToFile(to);
  count++;
}
console.log(count);
