// What an old script does with the Node SDK; prints what came of it as JSON.
//     OPENAI_BASE_URL=... OPENAI_API_KEY=... node sdk_session.mjs PACKAGE PICTURE
import fs from "node:fs";
import { pathToFileURL } from "node:url";
const { default: OpenAI, toFile } = await import(pathToFileURL(process.argv[2]));

const client = new OpenAI();
const told = {};
const at = { seconds: "1", size: "256x144" };
const done = async (video) => {
  while (["queued", "in_progress"].includes(video.status)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    video = await client.videos.retrieve(video.id);
  }
  return video;
};

let video = await client.videos.create({ prompt: "a red sailboat drifts right across the sea", model: "sora-2", ...at });
told.created = video;
video = await done(video);
told.polled = video;
const content = await client.videos.downloadContent(video.id);
told.bytes = (await content.arrayBuffer()).byteLength;
told.type = content.headers.get("content-type");
const picture = await toFile(fs.readFileSync(process.argv[3]), "first.png", { type: "image/png" });
told.with_reference = await done(await client.videos.create({ prompt: "a red sailboat", input_reference: picture, ...at }));
const url = `data:image/png;base64,${fs.readFileSync(process.argv[3]).toString("base64")}`;
told.with_url = await done(await client.videos.create({ prompt: "a boat", input_reference: { image_url: url }, ...at }));
told.remixed = await done(await client.videos.remix(video.id, { prompt: "a red sailboat at night" }));
told.edited = await done(await client.videos.edit({ prompt: "a blue sailboat", video: { id: video.id } }));
told.extended = await done(await client.videos.extend({ prompt: "on it goes", seconds: "1", video: { id: video.id } }));
told.listed = [];
for await (const one of client.videos.list({ limit: 2 })) told.listed.push(one.id);
told.errors = {};
for (const [name, call] of Object.entries({
  missing: () => client.videos.retrieve("video_unknown"),
  refused: () => client.videos.create({ prompt: "a naked child", ...at }),
})) {
  try {
    await call();
  } catch (error) {
    told.errors[name] = { class: error.constructor.name, code: error.code, status: error.status, id: error.requestID };
  }
}
told.deleted = await client.videos.delete(video.id);
console.log(JSON.stringify(told));
