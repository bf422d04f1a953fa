"""Votes from the exports of label tools: one file a tool.

Only what says something of a whole frame is a vote. Boxes, outlines, ranges and tracks are counted
and told, never guessed to be one.
"""
