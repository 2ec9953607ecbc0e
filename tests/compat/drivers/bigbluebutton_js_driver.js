// Drives bigbluebutton-js. It returns numbers and booleans where an element looks like one.
'use strict'

const bbb = require('bigbluebutton-js')
const { answerCalls, succeeded } = require('./answering')

const base = process.env.COMPAT_API_URL.replace(/\/api$/, '/')
const api = bbb.api(base, process.env.COMPAT_SECRET)
const ask = async (url) => succeeded(await bbb.http(url))

// What it returns of an empty element is an empty string.
const list = (elements, of) => (elements || []).map(of)

const recording = (one) => ({
  recordID: one.recordID,
  meetingID: one.meetingID,
  name: one.name,
  state: one.state,
  published: one.published,
  type: one.playback.format.type,
})

const { administration, monitoring, recording: recordings } = api
answerCalls({
  create: (a) =>
    ask(administration.create(a.name, a.meeting_id, { attendeePW: a.attendee_pw, moderatorPW: a.moderator_pw })),
  join_url: (a) => administration.join(a.name, a.meeting_id, a.password),
  is_running: async (a) => (await ask(monitoring.isMeetingRunning(a.meeting_id))).running,
  info: (a) => ask(monitoring.getMeetingInfo(a.meeting_id)),
  meetings: async () => list((await ask(monitoring.getMeetings())).meetings, (one) => one),
  end: async (a) => (await ask(administration.end(a.meeting_id, a.password))).returncode === 'SUCCESS',
  recordings: async (a) => list((await ask(recordings.getRecordings({ meetingID: a.meeting_id }))).recordings, recording),
  publish: async (a) => (await ask(recordings.publishRecordings(a.record_id, a.publish))).published,
  update: async (a) => (await ask(recordings.updateRecordings(a.record_id, { [`meta_${a.key}`]: a.value }))).updated,
  delete: async (a) => (await ask(recordings.deleteRecordings(a.record_id))).deleted,
})
