"""The one place where numbers live: every array of the workbench is made and changed in here."""
