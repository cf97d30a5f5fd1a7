--[[
  Every write of a dispatcher carries the fence of its hold: a take-over has raised it, and what is stale is refused.
  Needs run.lua.
]]
-- Nil where the writer may write, else why not: 'stale', or 'gone' where the record is no more.
local function refusedBy(id, fence)
  local standing = redis.call('HGET', runKey(id), 'fence')
  if standing == fence then return nil end
  return standing and 'stale' or 'gone'
end
